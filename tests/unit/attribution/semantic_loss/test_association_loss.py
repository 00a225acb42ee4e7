"""Semantic loss on matrices whose loss is known."""

import pytest
import torch

from semprune.attribution.semantic_loss.association_loss import (
    CONTROLS,
    association_lost,
    control_loss,
    matched_controls,
    semantic_loss,
    semantic_weights,
)


@pytest.fixture
def planted():
    """40 neurons in two layers: the first 4 of each carry concept 0, the next 12 concept 1."""
    score = torch.zeros(40, 2)
    for start in (0, 20):
        score[start : start + 4, 0] = 1.0
        score[start + 4 : start + 16, 1] = 1.0
    layer = torch.arange(40) // 20
    return score, layer


def controls_of(score, layer, certainty=None, levels=("token", "token"), held_out=None):
    weights = semantic_weights(score, score if held_out is None else held_out)
    return matched_controls(weights, score, score if certainty is None else certainty, layer, levels, 0)


def test_an_identity_mask_loses_nothing(planted):
    score, layer = planted
    weights, lost = semantic_weights(score, score), association_lost(score, score)
    assert torch.equal(semantic_loss(weights, lost), torch.zeros(2))
    controls = controls_of(score, layer)
    assert control_loss(weights, lost, controls, 0) == 0


def test_removing_a_concepts_neurons_loses_it_alone(planted):
    score, layer = planted
    pruned = score.clone()
    pruned[:, 0] = 0
    weights, lost = semantic_weights(score, score), association_lost(score, pruned)
    assert semantic_loss(weights, lost).tolist() == [1.0, 0.0]
    controls = controls_of(score, layer)
    assert control_loss(weights, lost, controls, 0) == 0  # comparable neurons lost nothing of their own concept


def test_controls_are_as_sure_of_another_concept_in_the_same_layer(planted):
    score, layer = planted
    certainty = torch.ones(40, 2)
    certainty[:20, 1] = torch.linspace(0.1, 3.0, 20)  # of the first layer those near 1 are neurons 4 to 8
    mine, theirs, own = controls_of(score, layer, certainty)
    assert mine.tolist() == [0, 1, 2, 3, 20, 21, 22, 23]
    assert theirs.shape == (8, CONTROLS)
    assert (layer[theirs] == layer[mine][:, None]).all()
    assert (own == 1).all()
    assert sorted(theirs[0].tolist()) == [4, 5, 6, 7, 8]


def test_what_another_level_or_no_held_out_effect_has_is_no_control(planted):
    score, layer = planted
    assert not len(controls_of(score, layer, levels=("token", "sequence"))[0])
    held_out = score.clone()
    held_out[4:14, 1] = -1.0  # two are left in the first layer, too few
    mine, theirs, _ = controls_of(score, layer, held_out=held_out)
    assert mine.tolist() == [20, 21, 22, 23]
    assert theirs.min() >= 24


def test_noise_alone_costs_matched_controls_as_much():
    """Concept 0 is weakly encoded, concept 1 from weakly to strongly: read again nothing is lost, but noise differs."""
    generator = torch.Generator().manual_seed(0)
    true, layer = torch.zeros(2000, 2), torch.zeros(2000, dtype=torch.long)
    true[:200, 0], true[200:, 1] = 3.0, torch.linspace(1.0, 30.0, 1800)
    dense, again = (true + torch.randn(true.shape, generator=generator) for _ in range(2))
    score = torch.where(true > 0, true, 0.0)
    weights, lost = semantic_weights(score, dense), association_lost(dense, again)
    controls = matched_controls(weights, score, dense.abs(), layer, ("token", "token"), 0)
    floor = semantic_loss(weights, lost)[0]
    assert floor > 0.1
    assert control_loss(weights, lost, controls, 0) == pytest.approx(float(floor), abs=0.03)


def test_half_the_association_is_half_the_loss(planted):
    score, _ = planted
    weights = semantic_weights(score, score)
    torch.testing.assert_close(semantic_loss(weights, association_lost(score, score / 2)), torch.full((2,), 0.5))


def test_gains_do_not_make_up_for_losses(planted):
    score, _ = planted
    pruned = score.clone()
    pruned[:4, 0], pruned[20:24, 0] = 0, 2
    weights = semantic_weights(score, score)
    assert semantic_loss(weights, association_lost(score, pruned))[0] == pytest.approx(0.5)
