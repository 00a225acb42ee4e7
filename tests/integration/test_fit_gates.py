"""A fit that learns causal gates beside its association: kept, shown, gone on with, and refused early."""

from __future__ import annotations

from contextlib import contextmanager

import pytest
import torch
from lightning.pytorch.loggers import TensorBoardLogger
from tests.integration.test_fit_resumes import StopAt, Stopped, shown
from tests.integration.tiny import LABELS, TEXTS, TinyData, on_ranks, tiny_backbone, tiny_trainer

from semprune.attribution import NeuronSemanticAttribution, load_association
from semprune.attribution.gate_stage import GateSources
from semprune.attribution.gates import tasks, words
from semprune.attribution.gates.tasks import ClassTask
from semprune.attribution.gates.words import WordTask
from semprune.errors import ConfigurationError, CorruptArtefactError, UnknownGateError
from semprune.types import Item

POSITIVE, NEGATIVE = "movie_reviews.positive", "movie_reviews.negative"
WORDS = "sentiment.negative"
STEPS = 6


@pytest.fixture(scope="module")
def lm():
    return tiny_backbone()


def given(lm, data, concepts, words):
    """Hand-written reviews and words of no text."""
    items = [
        Item("movie_reviews", str(i), str(i), tuple((f"{TEXTS[i]}:", word) for word in (" good", " bad")),
             LABELS[i], "tiny")
        for i in range(48)
    ]  # fmt: skip
    ids = data.calibration_input_ids()
    text = torch.randperm(len(lm.tokenizer), generator=torch.Generator().manual_seed(0))[:256].view(16, 16)
    found = {name: ClassTask(lm, name, items, 0) for name in concepts if name in data.classes}
    found |= {c.name: WordTask(lm, c.name, text % 4 == 0, text) for c in words if c.name in concepts}
    return GateSources(found, [ids[:6], ids[6:, :8]])


@contextmanager
def taken_at_its_word():
    """A random model knows nothing of films or words."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("semprune.attribution.gate_stage.gate_sources", given)
        patch.setattr(tasks, "CHANCE", -1.0)
        patch.setattr(words, "EXPECTED", -1.0)
        yield


@pytest.fixture(scope="module", autouse=True)
def sources():
    with taken_at_its_word():
        yield


def gated_module(lm, **changes):
    settings = {"gates": [POSITIVE, WORDS], "gate_share": 0.1, "gate_steps": STEPS} | changes
    module = NeuronSemanticAttribution(
        "tiny", concepts=["sentiment.positive", "sentiment.negative"], decoder_neurons=8, sample_tokens=64, **settings
    )
    module.lm = lm
    return module


@pytest.fixture(scope="module")
def whole(lm, tmp_path_factory):
    """A finished fit, its trainer and its folder."""
    folder = tmp_path_factory.mktemp("whole")
    module = gated_module(lm)
    trainer = tiny_trainer(folder, logger=TensorBoardLogger(folder, name="board", version=""))
    trainer.fit(module, datamodule=TinyData(lm))
    trainer.save_checkpoint(folder / "fit.ckpt", weights_only=True)
    return module, folder


def test_a_fit_keeps_its_gates_and_shows_them(whole):
    module, folder = whole
    found = load_association(folder / "board" / "association.safetensors")
    assert found.gated_concepts == (WORDS, POSITIVE, NEGATIVE)
    column = found.concepts.index(POSITIVE)
    assert torch.equal(found.gates[:, column], found.gates[:, found.concepts.index(NEGATIVE)])
    assert module.gates.learner.steps_done == STEPS
    assert found.top(POSITIVE, 3, by="gates") == [
        found.neurons[row] for row in found.gates[:, column].topk(3).indices.tolist()
    ]
    assert len(set(found.gates[:, found.concepts.index(WORDS)].topk(3).values.tolist())) == 3
    tags = shown(folder / "board").Tags()
    assert {
        f"gates/{name}/{each}" for each in (POSITIVE, WORDS) for name in ("task", "others", "collateral", "price")
    } <= set(tags["scalars"])
    assert "gates/layer_concept" in tags["images"]


def test_gates_are_drawn_by_the_seed_of_the_data(lm, whole, tmp_path):
    module = gated_module(lm)
    tiny_trainer(tmp_path).fit(module, datamodule=TinyData(lm, seed=1))
    assert not torch.equal(module.association().gates.nan_to_num(-1), whole[0].association().gates.nan_to_num(-1))


@pytest.mark.parametrize(
    ("epoch", "batch"), [(1, 3), *(pytest.param(*place, marks=pytest.mark.slow) for place in ((0, 6), (2, 8)))]
)
def test_a_fit_stopped_inside_an_epoch_ends_with_the_same_gates(lm, whole, tmp_path, epoch, batch):
    expected = whole[0].association()
    path = tmp_path / "part.ckpt"
    with pytest.raises(Stopped):
        tiny_trainer(tmp_path, callbacks=[StopAt(epoch, batch, path)]).fit(gated_module(lm), datamodule=TinyData(lm))
    module = gated_module(lm)
    tiny_trainer(tmp_path).fit(module, datamodule=TinyData(lm), ckpt_path=str(path), weights_only=True)
    assert torch.equal(module.association().gates.nan_to_num(-1), expected.gates.nan_to_num(-1))
    for changed, said in (
        ({"gates": [NEGATIVE, WORDS]}, r"its gates are of movie_reviews\.positive, sentiment"),
        ({"gate_share": 0.2, "gate_steps": 9}, "learned with share 0.1 for 0.2, steps 6 for 9, k "),
    ):
        if epoch:
            other = gated_module(lm, **changed)
            with pytest.raises(CorruptArtefactError, match=said):
                tiny_trainer(tmp_path).fit(other, datamodule=TinyData(lm), ckpt_path=str(path), weights_only=True)


def fit_with_gates(folder, ranks):
    """In float64: what then still differs is no rounding."""
    lm = tiny_backbone()
    lm.model.double()
    module = gated_module(lm)
    with taken_at_its_word():
        tiny_trainer(folder, ranks).fit(module, datamodule=TinyData(lm))
    torch.save(module.association().gates, folder / f"{module.global_rank}.pt")


@pytest.mark.slow
def test_two_processes_fit_the_gates_of_one(tmp_path):
    found = []
    for ranks in (1, 2):
        folder = tmp_path / str(ranks)
        folder.mkdir()
        on_ranks(fit_with_gates, folder, ranks)
        found += [torch.load(folder / f"{rank}.pt") for rank in range(ranks)]
    assert found[0].isfinite().any(0).tolist() == [False, True, True, True]
    for other in found[1:]:
        torch.testing.assert_close(other, found[0], rtol=1e-4, atol=1e-5, equal_nan=True)


def test_a_checkpoint_shows_the_gates_without_a_fit(lm, whole, tmp_path):
    module, folder = whole
    read = gated_module(lm)
    tiny_trainer(tmp_path).test(
        read, datamodule=TinyData(lm), ckpt_path=str(folder / "fit.ckpt"), weights_only=True, verbose=False
    )
    assert torch.equal(read.association().gates.nan_to_num(-1), module.association().gates.nan_to_num(-1))


def test_without_gates_nothing_of_an_association_changes(lm, whole, tmp_path):
    plain = gated_module(lm, gates=None)
    tiny_trainer(tmp_path).fit(plain, datamodule=TinyData(lm))
    association, gated = plain.association(), whole[0].association()
    assert association.gates is None
    for name in ("matrix", "t", "q", "gate", "mean", "rms", "neuron_class"):
        assert torch.equal(getattr(association, name), getattr(gated, name)), name


def test_concepts_that_the_data_do_not_hold_are_refused_before_anything_runs(lm, tmp_path):
    for unknown in ("movie_reviews.mixed", "language.negation"):  # words that are not fitted
        with pytest.raises(UnknownGateError, match=unknown):
            tiny_trainer(tmp_path).fit(gated_module(lm, gates=[unknown]), datamodule=TinyData(lm))
    rare = gated_module(lm, gates=["empath.cooking"])
    rare.hparams["concepts"] = ["default"]  # of which those are left out that no review has words of
    with pytest.raises(UnknownGateError, match=r"empath\.cooking"):
        tiny_trainer(tmp_path).fit(rare, datamodule=TinyData(lm))
    unlabelled = TinyData(lm)
    unlabelled.classes = ()
    with pytest.raises(ConfigurationError, match="the data have none"):
        tiny_trainer(tmp_path).fit(gated_module(lm), datamodule=unlabelled)
