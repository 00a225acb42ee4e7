"""A fit that is stopped in the middle of an epoch, and one that shows itself in TensorBoard."""

from __future__ import annotations

from pathlib import Path

import lightning
import pytest
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.loggers import TensorBoardLogger
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tests.integration.tiny import (
    TinyData,
    fit_and_resume,
    fit_and_test,
    on_ranks,
    tiny_backbone,
    tiny_module,
    tiny_trainer,
)

from semprune.attribution import load_association
from semprune.errors import CorruptArtefactError

CONCEPTS = ("sentiment.positive", "sentiment.negative", "language.negation")
CLASSES = ("movie_reviews.positive", "movie_reviews.negative")


class Stopped(Exception):
    """Stands for a kill."""


class StopAt(lightning.Callback):
    """Saves after one batch of one epoch, as ModelCheckpoint does, and then dies in the next one."""

    def __init__(self, epoch, batch, path):
        self.epoch, self.batch, self.path = epoch, batch, path

    def on_train_batch_end(self, trainer, module, outputs, batch, batch_idx):
        if trainer.current_epoch != self.epoch:
            return
        if batch_idx == self.batch:
            trainer.save_checkpoint(self.path)
        if batch_idx == self.batch + 1:
            raise Stopped


@pytest.fixture(scope="module")
def lm():
    return tiny_backbone()


@pytest.fixture(scope="module")
def whole(lm, tmp_path_factory):
    module = tiny_module(lm)
    tiny_trainer(tmp_path_factory.mktemp("whole")).fit(module, datamodule=TinyData(lm))
    return module


@pytest.mark.parametrize(
    ("epoch", "batch"), [(1, 3), *(pytest.param(*place, marks=pytest.mark.slow) for place in ((0, 0), (0, 6), (2, 8)))]
)
def test_a_fit_stopped_inside_an_epoch_ends_with_the_same_association(whole, lm, tmp_path, epoch, batch):
    path = tmp_path / "part.ckpt"
    with pytest.raises(Stopped):
        tiny_trainer(tmp_path, callbacks=[StopAt(epoch, batch, path)]).fit(tiny_module(lm), datamodule=TinyData(lm))
    module = tiny_module(lm)
    tiny_trainer(tmp_path).fit(module, datamodule=TinyData(lm), ckpt_path=str(path), weights_only=True)
    resumed, expected = module.association(), whole.association()
    for name in ("matrix", "t", "q", "gate", "mean", "rms", "neuron_class"):
        assert torch.equal(getattr(resumed, name), getattr(expected, name)), name
    assert torch.equal(module.learner.token_decoder.weight, whole.learner.token_decoder.weight)
    assert module.precision == whole.precision


def test_lightnings_own_checkpoints_come_inside_the_first_epoch_too(lm, tmp_path):
    keeper = ModelCheckpoint(tmp_path / "kept", filename="{step}", every_n_train_steps=6, save_top_k=-1)
    trainer = tiny_trainer(tmp_path, callbacks=[keeper], enable_checkpointing=True)
    trainer.fit(tiny_module(lm), datamodule=TinyData(lm))
    stages = [int(torch.load(p, weights_only=True)["state_dict"]["learner.stage"])
              for p in (tmp_path / "kept").iterdir()]  # fmt: skip
    assert 0 in stages
    assert 1 in stages


def test_a_checkpoint_of_another_version_is_refused(lm, tmp_path):
    module = tiny_module(lm)
    trainer = tiny_trainer(tmp_path)
    trainer.fit(module, datamodule=TinyData(lm))
    trainer.save_checkpoint(tmp_path / "fit.ckpt")
    stored = torch.load(tmp_path / "fit.ckpt", weights_only=True)
    del stored["state_dict"]["learner.token.leverage"]
    torch.save(stored, tmp_path / "old.ckpt")
    with pytest.raises(CorruptArtefactError, match=r"another version wrote it: learner\.token\.leverage"):
        tiny_trainer(tmp_path).test(
            tiny_module(lm), datamodule=TinyData(lm), ckpt_path=str(tmp_path / "old.ckpt"), weights_only=True
        )


def shown(folder: Path) -> EventAccumulator:
    events = EventAccumulator(str(folder), size_guidance={"tensors": 0, "scalars": 0})
    events.Reload()
    return events


def check_board(folder: Path, association) -> None:
    events = shown(folder)
    tags = events.Tags()
    for concept, found in zip(association.concepts, association.gate.sum(0).tolist(), strict=True):
        assert [e.value for e in events.Scalars(f"discoveries/{concept}")] == [found]
        last = events.Scalars(f"average_precision/{concept}")[-1].value
        assert 0 <= last <= 1
        curve = torch.tensor(events.Tensors(f"reading/{concept}")[-1].tensor_proto.float_val or [])
        if not curve.numel():
            raw = events.Tensors(f"reading/{concept}")[-1].tensor_proto
            curve = torch.frombuffer(bytearray(raw.tensor_content), dtype=torch.float32)
        _, _, _, _, precision, recall = curve.view(6, -1)
        assert (recall.diff() <= 0).all()
        assert recall[0] == 1
        # the area under the curve is about the average precision
        area = float((precision[:-1] * -recall.diff()).sum() + precision[-1] * recall[-1])
        assert area == pytest.approx(last, abs=0.12)
    for concept in CONCEPTS:
        text = events.Tensors(f"examples/{concept}/text_summary")[-1].tensor_proto.string_val[0].decode()
        assert text.startswith("| neuron | σ | token in its context |")
        assert "| layers." in text
    assert "association/layer_concept" in tags["images"]
    projector = next(folder.rglob("metadata.tsv"))
    lines = projector.read_text().splitlines()
    assert lines[0].split("\t") == ["neuron", "layer", "class", "concept"]
    names = {line.split("\t")[0] for line in lines[1:]}
    expected = {association.neurons[row] for row in association.gate.any(1).nonzero()[:, 0].tolist()}
    assert names == expected
    coordinates = next(folder.rglob("tensors.tsv")).read_text().splitlines()
    assert len(coordinates) == len(expected)
    assert len(coordinates[0].split("\t")) == len(association.concepts)


def test_tensorboard_shows_curves_neurons_examples_and_discoveries(lm, tmp_path):
    module = tiny_module(lm)
    logger = TensorBoardLogger(tmp_path, name="board", version="")
    tiny_trainer(tmp_path, logger=logger).fit(module, datamodule=TinyData(lm))
    check_board(tmp_path / "board", module.association())


@pytest.mark.slow
def test_on_two_ranks_the_first_alone_shows_all(tmp_path):
    on_ranks(fit_and_test, tmp_path, 2)
    assert len(list((tmp_path / "board").glob("events.*"))) == 1
    check_board(tmp_path / "board", load_association(tmp_path / "association.safetensors"))


@pytest.mark.slow
def test_two_ranks_go_on_inside_an_epoch(tmp_path):
    """The checkpoint is the first rank's; it must hold the sums of both, once."""
    on_ranks(fit_and_resume, tmp_path, 2)
    whole = load_association(tmp_path / "whole.safetensors")
    for epoch in (0, 1):
        resumed = load_association(tmp_path / f"{epoch}.safetensors")
        torch.testing.assert_close(resumed.matrix, whole.matrix, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(resumed.t, whole.t, rtol=1e-3, atol=1e-3)
        torch.testing.assert_close(resumed.rms, whole.rms)
        assert torch.equal(resumed.gate, whole.gate)
