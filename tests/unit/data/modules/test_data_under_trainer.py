"""The data modules as a Trainer drives them."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import lightning
import pytest
import torch
from tests.unit.data.conftest import speaking

from semprune.data import CalibrationDataModule, CalibrationSettings, DocumentDataModule, EvaluationDataModule
from semprune.data.batches.batching import ItemBatch
from semprune.errors import UnboundDataError
from semprune.types import Document, DocumentBatch

SETS = ["movie_reviews", "bbc_news"]


class Recorder(lightning.LightningModule):
    """Keeps what it is given; its backbone is a tokenizer and a length."""

    def __init__(self, tokenizer: Any = None) -> None:
        super().__init__()
        self.lm = None if tokenizer is None else SimpleNamespace(tokenizer=tokenizer, max_length=200)
        self.weight = torch.nn.Parameter(torch.zeros(1))
        self.seen: list[Any] = []

    def training_step(self, batch: Any) -> torch.Tensor:
        self.seen.append(("fit", self.current_epoch, batch))
        return self.weight.sum()

    def validation_step(self, batch: Any) -> None:
        if not self.trainer.sanity_checking:
            self.seen.append(("validate", self.current_epoch, batch))

    def test_step(self, batch: Any, batch_idx: int, dataloader_idx: int = 0) -> None:
        self.seen.append(("test", dataloader_idx, batch))

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1)


def trainer(**settings: Any) -> lightning.Trainer:
    quiet = {
        "logger": False,
        "enable_checkpointing": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
    }
    return lightning.Trainer(accelerator="cpu", devices=1, **quiet, **settings)


def test_evaluation_under_a_trainer(offline: Path, documents: list[Document], bos_tokenizer: Any) -> None:
    module = EvaluationDataModule(
        ["sst2", "piqa", "arc_easy"],
        token_budget=120,
        calibration=CalibrationSettings(sequences=2, length=8),
        documents=SETS,
    )
    recorder = Recorder(bos_tokenizer)
    trainer().test(recorder, module, verbose=False)
    scored = [batch for _, loader, batch in recorder.seen if loader == 0]
    held_out = [batch for _, loader, batch in recorder.seen if loader == 1]
    assert all(isinstance(batch, ItemBatch) for batch in scored)
    assert all(isinstance(batch, DocumentBatch) for batch in held_out)
    items = [encoded.item for batch in scored for encoded in batch.items]
    assert sorted(item.item_id for item in items) == ["0", "0", "1", "1", "Q_1", "Q_2"]
    assert set(items) == set(module.items)
    assert module.documents is not None
    fitted = DocumentDataModule(SETS)
    fitted.bind(speaking(bos_tokenizer))
    fitted.setup()
    assert module.documents.val_documents == fitted.val_documents
    assert module.context_length == 200
    assert module.calibration_input_ids().shape == (2, 8)


def test_epochs_differ_under_a_trainer(documents: list[Document], plain_tokenizer: Any) -> None:
    recorder = Recorder(plain_tokenizer)
    module = DocumentDataModule(SETS, batch_size=4)
    trainer(max_epochs=2).fit(recorder, datamodule=module)
    orders = [
        [n for stage, at, batch in recorder.seen if (stage, at) == ("fit", epoch) for n in batch.document.tolist()]
        for epoch in (0, 1)
    ]
    assert sorted(orders[0]) == sorted(orders[1]) == list(range(len(module.train_documents)))
    assert orders[0] != orders[1]
    validated = [
        n for stage, at, batch in recorder.seen if (stage, at) == ("validate", 1) for n in batch.document.tolist()
    ]
    assert sorted(validated) == list(range(len(module.val_documents)))


def test_plain_text_can_be_fitted_on(offline: Path, plain_tokenizer: Any) -> None:
    recorder = Recorder(plain_tokenizer)
    recorder.validation_step = None  # there is nothing to validate on
    trainer(max_epochs=1).fit(recorder, datamodule=CalibrationDataModule("tiny", sequences=4, length=8, batch_size=2))
    assert [batch.input_ids.shape for _, _, batch in recorder.seen] == [(2, 8), (2, 8)]


def test_without_a_model_the_remedy_is_named(offline: Path) -> None:
    with pytest.raises(UnboundDataError, match=r"CalibrationDataModule does not .* call `datamodule\.bind\(lm\)`"):
        CalibrationDataModule().setup()
    with pytest.raises(UnboundDataError, match="EvaluationDataModule"):
        trainer().test(Recorder(), EvaluationDataModule(["sst2"]), verbose=False)
