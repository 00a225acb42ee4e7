"""Readout and causal loss in one loop over held-out documents."""

import pytest
import torch
from tests.unit.attribution.worlds import (
    CLASSES,
    CONCEPTS,
    PLANTED,
    fitted,
    fitted_learner,
    label_tokens,
    observed,
    planted_lm,
)

from semprune.attribution.held_out.readout import Readout
from semprune.attribution.semantic_loss.further_losses import further_losses
from semprune.attribution.semantic_loss.readout_loss import readout_loss
from semprune.errors import SettingError


@pytest.fixture(scope="module")
def planted():
    lm = planted_lm()
    return lm, fitted_learner(lm, [observed(60, 14, seed).batch for seed in range(4)])


def batches():
    return [observed(60, 14, seed).batch for seed in (10, 11)]


def losses(planted, changed, names=("readout", "causal")):
    lm, learner = planted
    return further_losses(lm, learner, fitted(lm, learner), label_tokens, batches(), changed, names)


def without(lm, concept):
    """The mask that removes the concept's rows of gate and up."""
    masks = {}
    for name in ("gate_proj", "up_proj"):
        weight = lm.model.get_submodule(f"model.layers.0.mlp.{name}").weight
        masks[f"model.layers.0.mlp.{name}"] = torch.ones_like(weight, dtype=torch.bool)
        masks[f"model.layers.0.mlp.{name}"][PLANTED[concept]] = False
    return masks


def test_an_identity_mask_has_no_further_loss(planted):
    name = "model.layers.0.mlp.up_proj"
    weight = planted[0].model.get_submodule(name).weight
    tables = losses(planted, {name: torch.ones_like(weight, dtype=torch.bool)})
    assert tables["readout_loss"][["loss_frozen", "loss_refit", "moved"]].abs().to_numpy().max() == 0
    assert tables["causal_loss"]["causal_loss"].max() == 0
    assert (tables["causal_neurons"]["change"] == 0).all()


def test_removing_a_concepts_neurons_shows_in_its_own_rows(planted):
    lm, _ = planted
    before = {name: value.clone() for name, value in lm.model.state_dict().items()}
    tables = losses(planted, without(lm, "praise"))
    assert all(torch.equal(before[name], value) for name, value in lm.model.state_dict().items())
    readout = tables["readout_loss"].set_index("concept")
    assert set(readout.index) == {*CONCEPTS, *CLASSES}
    assert readout.loc["praise", "loss_frozen"] > readout.loc["blame", "loss_frozen"] + 0.1
    causal = tables["causal_loss"]
    assert set(causal["layer"]) == {-1, 0, 1}
    neurons = tables["causal_neurons"]
    changed = neurons[(neurons["concept"] == "praise") & (neurons["change"] != 0) & (neurons["layer"] == 0)]
    assert len(changed) >= 3
    assert set(changed["neuron"]) <= {f"layers.0.mlp/{index}" for index in PLANTED["praise"]}


def test_it_is_the_readout_loss_of_two_passes(planted):
    lm, learner = planted
    tables = losses(planted, without(lm, "blame"), ("readout",))
    assert set(tables) == {"readout_loss"}
    readouts = []
    for masks in ({}, without(lm, "blame")):
        kept = {name: lm.model.get_submodule(name).weight.data.clone() for name in masks}
        for name, mask in masks.items():
            lm.model.get_submodule(name).weight.data.mul_(mask)
        readouts.append(Readout(learner))
        for batch in batches():
            with torch.no_grad(), readouts[-1].gathering(lm, learner.labelled(batch, label_tokens)):
                lm.model(input_ids=batch.input_ids, attention_mask=batch.attention_mask)
        for name, weight in kept.items():
            lm.model.get_submodule(name).weight.data.copy_(weight)
    expected = readout_loss(*readouts)
    assert tables["readout_loss"].equals(expected)


def test_an_unknown_loss_is_refused_before_anything_runs(planted):
    with pytest.raises(SettingError, match="losses must be some of readout, causal, got 'l4'"):
        losses(planted, {}, ("l4",))
