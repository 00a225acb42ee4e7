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
    rms = torch.linspace(1, 2, 40)
    return score, rms, layer


def test_an_identity_mask_loses_nothing(planted):
    score, rms, layer = planted
    weights, lost = semantic_weights(score, score), association_lost(score, score)
    assert torch.equal(semantic_loss(weights, lost), torch.zeros(2))
    controls = matched_controls(weights, score, rms, layer, 0)
    assert control_loss(weights, lost, controls, 0) == 0


def test_removing_a_concepts_neurons_loses_it_alone(planted):
    score, rms, layer = planted
    pruned = score.clone()
    pruned[:, 0] = 0
    weights, lost = semantic_weights(score, score), association_lost(score, pruned)
    assert semantic_loss(weights, lost).tolist() == [1.0, 0.0]
    controls = matched_controls(weights, score, rms, layer, 0)
    assert control_loss(weights, lost, controls, 0) == 0  # comparable neurons lost nothing of their own concept


def test_controls_are_nearest_in_rms_in_the_same_layer_and_carry_another_concept(planted):
    score, rms, layer = planted
    mine, theirs, own = matched_controls(semantic_weights(score, score), score, rms, layer, 0)
    assert mine.tolist() == [0, 1, 2, 3, 20, 21, 22, 23]
    assert theirs.shape == (8, CONTROLS)
    assert (layer[theirs] == layer[mine][:, None]).all()
    assert (own == 1).all()
    assert sorted(theirs[0].tolist()) == [4, 5, 6, 7, 8]


def test_half_the_association_is_half_the_loss(planted):
    score, _, _ = planted
    weights = semantic_weights(score, score)
    torch.testing.assert_close(semantic_loss(weights, association_lost(score, score / 2)), torch.full((2,), 0.5))


def test_gains_do_not_make_up_for_losses(planted):
    score, _, _ = planted
    pruned = score.clone()
    pruned[:4, 0], pruned[20:24, 0] = 0, 2
    weights = semantic_weights(score, score)
    assert semantic_loss(weights, association_lost(score, pruned))[0] == pytest.approx(0.5)
