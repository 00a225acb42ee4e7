"""A tiny random Llama with a tokenizer, and documents to fit it on, in one process or on several ranks."""

from __future__ import annotations

import os
import socket
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightning
import torch
from lightning.pytorch.loggers import TensorBoardLogger
from tests.models import byte_level_tokenizer, llama
from tests.ranks import run_ranks
from torch.utils.data import DataLoader

from semprune.attribution import NeuronSemanticAttribution
from semprune.attribution.fit.encoder import Encoder
from semprune.backbones import Backbone, describe
from semprune.data.batches.batching import EncodedDocument, ItemBatch, document_batch, encode_item
from semprune.data.batches.sampling import ShardedBatchSampler, in_order, shuffled, within_budget
from semprune.data.modules.tokenized import ResumableLoader
from semprune.pruning.callbacks.methods import Wanda
from semprune.study import PairedTrainer
from semprune.types import Item

GOOD = [
    "a good and happy film",
    "it is not bad, a wonderful evening",
    "we love this great story",
    "it was never dull, the best",
]
BAD = [
    "a terrible and sad film",
    "it is not good, an awful evening",
    "we hate this horrible story",
    "it was never fun, the worst",
]
TEXTS = [f"{text} number {k}" for k in range(12) for text in (*GOOD, *BAD)]
LABELS = [0 if text.startswith(tuple(GOOD)) else 1 for text in TEXTS]


def tiny_backbone(seed: int = 0, *, name: str = "tiny", length: int = 64) -> Backbone:
    tokenizer = byte_level_tokenizer(TEXTS, 500, model_max_length=length)
    sizes = {"hidden_size": 32, "intermediate_size": 48, "num_key_value_heads": 1, "max_position_embeddings": length}
    return describe(llama(seed, vocab_size=len(tokenizer), **sizes), tokenizer, name)


class TinyData(lightning.LightningDataModule):
    """Hand-written reviews for fitting and testing."""

    classes = ("movie_reviews.positive", "movie_reviews.negative")
    datasets = ("movie_reviews",)
    max_length = 32

    def __init__(self, lm: Backbone, seed: int = 0) -> None:
        super().__init__()
        self.lm, self.seed = lm, seed

    def _documents(self, indices: list[int], plan: Any) -> DataLoader[Any]:
        encoded = [
            EncodedDocument(tuple(self.lm.tokenizer(TEXTS[i])["input_ids"][:32]), k, 0, LABELS[i])
            for k, i in enumerate(indices)
        ]
        return ResumableLoader(encoded, ShardedBatchSampler(plan), collate_fn=lambda b: document_batch(b, 1))

    def train_dataloader(self) -> DataLoader[Any]:
        return self._documents(list(range(0, 72)), shuffled(72, 7, 0))

    def val_dataloader(self) -> DataLoader[Any]:
        return self._documents(list(range(72, 96)), in_order(24, 5))

    def test_dataloader(self) -> list[DataLoader[Any]]:
        items = [
            Item("movie_reviews", str(i), str(i), tuple((f"{TEXTS[i]}:", word) for word in (" good", " bad")),
                 LABELS[i], "tiny")
            for i in range(40)
        ]  # fmt: skip
        encoded = [encode_item(self.lm.tokenizer, item, 64, truncate="error") for item in items]
        plan = within_budget([len(e.rows) for e in encoded], [e.longest for e in encoded], 120)
        loader = DataLoader(encoded, batch_sampler=ShardedBatchSampler(plan), collate_fn=lambda b: ItemBatch(tuple(b)))
        return [loader, self.val_dataloader()]

    def calibration_input_ids(self) -> torch.Tensor:
        ids = [i for text in TEXTS for i in self.lm.tokenizer(text)["input_ids"]]
        return torch.tensor(ids[: 12 * 16]).view(12, 16)

    def transfer_batch_to_device(self, batch: Any, device: torch.device, dataloader_idx: int) -> Any:
        return batch


def tiny_module(lm: Backbone) -> NeuronSemanticAttribution:
    concepts = ["sentiment.positive", "sentiment.negative", "language.negation"]
    module = NeuronSemanticAttribution("tiny", concepts=concepts, decoder_neurons=8, sample_tokens=64)
    module.lm = lm
    return module


def tiny_trainer(folder: Path, devices: int = 1, **settings: Any) -> PairedTrainer:
    quiet = {"logger": False, "enable_checkpointing": False, "max_epochs": 3} | settings
    return PairedTrainer(
        accelerator="cpu", devices=devices, strategy="ddp" if devices > 1 else "auto", enable_progress_bar=False,
        enable_model_summary=False, num_sanity_val_steps=0, default_root_dir=folder, log_every_n_steps=2, **quiet,
    )  # fmt: skip


class OwnData(TinyData):
    """The same as a class that a command line can name."""

    def __init__(self) -> None:
        super().__init__(tiny_backbone())


def fit_and_test(folder: Path, devices: int) -> None:
    """Fit, test dense and pruned, and write what was found (rank 0)."""
    lm = tiny_backbone()
    lm.model.double()  # batches of other sizes then round alike, once they are cast to fp32
    module, data = tiny_module(lm), TinyData(lm)
    board = TensorBoardLogger(folder, name="board", version="")
    tiny_trainer(folder, devices, logger=board).fit(module, datamodule=data)
    pruner = Wanda(0.5, batch_size=4)
    trainer = tiny_trainer(folder, devices, callbacks=[pruner])
    trainer.test(module, datamodule=data, verbose=False)
    association = module.association()
    outcome = module.outcomes["wanda"]
    loss = outcome.semantic_loss(module.outcomes["dense"], association)
    if trainer.is_global_zero:
        association.save(folder / "association.safetensors")
        outcome.predictions.to_json(folder / "predictions.json")
        loss.to_json(folder / "loss.json")
        (folder / "masks.txt").write_text(pruner.report.mask_hash if pruner.report else "")


class SaveInside(lightning.Callback):
    """Saves a checkpoint inside of epochs 0 and 1."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def on_train_batch_end(self, trainer: Any, module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        if batch_idx == 3 and trainer.current_epoch < 2:
            trainer.save_checkpoint(self.folder / f"{trainer.current_epoch}.ckpt")


def fit_and_resume(folder: Path, devices: int) -> None:
    """Fit once, then again from inside of either epoch, and write all three associations (rank 0)."""
    lm = tiny_backbone()
    lm.model.double()
    for name in ("whole", "0", "1"):
        module, path = tiny_module(lm), None if name == "whole" else str(folder / f"{name}.ckpt")
        callbacks = [SaveInside(folder)] if path is None else []
        trainer = tiny_trainer(folder, devices, callbacks=callbacks)
        trainer.fit(module, datamodule=TinyData(lm), ckpt_path=path, weights_only=True if path else None)
        if trainer.is_global_zero:
            module.association().save(folder / f"{name}.safetensors")


def add_targets_wide(
    self: Encoder, where: slice, regressors: torch.Tensor, targets: torch.Tensor, _squares: torch.Tensor | None = None
) -> None:
    """`Encoder.add_targets` with float64 products: what then still differs is no rounding."""
    self.cross[:, where] += regressors.double().T @ targets.double()
    self.squares[where] += targets.double().square().sum(0)


def on_ranks(work: Callable[[Path, int], None], folder: Path, ranks: int) -> None:
    """Call ``work(folder, ranks)`` in so many processes, started as torchrun starts those that Lightning joins."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    run_ranks(_rank, ranks, work, folder, ranks, port)


def _rank(rank: int, work: Callable[[Path, int], None], folder: Path, ranks: int, port: int) -> None:
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    places = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": ranks, "LOCAL_WORLD_SIZE": ranks, "GROUP_RANK": 0}
    address = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "TORCHELASTIC_RUN_ID": "tiny"}
    if ranks > 1:
        os.environ.update({name: str(value) for name, value in (places | address).items()})
    Encoder.add_targets = add_targets_wide
    work(folder, ranks)
