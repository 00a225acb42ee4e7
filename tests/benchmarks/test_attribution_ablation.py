"""Measurements under ablation on a tiny model: holding nothing changes nothing, names hang on what is held."""

import pytest
import torch
from benchmarks.attribution.ablation import MATCHED, held, measure_held, measure_now, neuron_sets
from tests.unit.attribution.ablation.test_causal import items_of, text_of
from tests.unit.attribution.worlds import association_of, tiny_lm


@pytest.fixture(scope="module")
def world():
    lm = tiny_lm()
    neurons = sum(site.width for site in lm.sites)
    matrix = torch.rand(neurons, 2, generator=torch.Generator().manual_seed(0)) + 0.1
    return lm, association_of(lm, matrix)


def test_holding_nothing_is_the_dense_model_and_holding_neurons_is_not(world):
    lm, association = world
    dense = measure_now(lm, items_of(), text_of(), 512)
    nothing = measure_held(lm, association, torch.zeros(0, dtype=torch.long), items_of(), text_of(), 512)
    some = measure_held(lm, association, torch.arange(20), items_of(), text_of(), 512)
    assert nothing["nll"] == dense["nll"]
    assert nothing["sets"]["movie_reviews"]["odds"] == dense["sets"]["movie_reviews"]["odds"]
    assert some["sets"]["movie_reviews"]["odds"] != dense["sets"]["movie_reviews"]["odds"]


def test_every_ranking_has_its_matched_neurons_and_short_ones_have_no_set(world):
    _, association = world
    ranking = torch.arange(len(association.rms)).float()
    sets = neuron_sets(association, {"full": ranking, "short": (ranking < 2).float()}, 0.1, seed=0)
    assert set(sets) == {"full", "random", "full" + MATCHED}
    assert not set(sets["full"].tolist()) & set(sets["full" + MATCHED].tolist())
    assert held(association, sets["full"]) == held(association, sets["full"].flip(0))
    assert held(association, sets["full"]) != held(association, sets["random"])
