"""Rankings of an association's facets, how levels combine, and how far rankings agree: values by hand."""

import pytest
import torch
from benchmarks.attribution.stability import agreement, chance_jaccard, jaccard, rank_correlation, top_rows
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.attribution.worlds import association_of, tiny_lm

from semprune.attribution.ablation.neuron_sets import combined_strength, top_neurons
from semprune.attribution.association.score import (
    COMBINATIONS,
    DEFAULT_RANKING,
    RANKINGS,
    Facets,
    combine_levels,
    rank_neurons,
)
from semprune.errors import SettingError

FACETS = Facets(
    effect=torch.tensor([0.4, -0.1]), t=torch.tensor([10.0, -2.5]), score=torch.tensor([0.2, 0.0]),
    deviation=torch.tensor([0.5, 3.0]),
)  # fmt: skip


@pytest.mark.parametrize(
    ("by", "expected"),
    [
        ("strength", [2.0, -0.5]),
        ("effect", [0.4, -0.1]),
        ("t", [10.0, -2.5]),
        ("score", [0.2, 0.0]),
        ("raw_effect", [0.2, -0.3]),
    ],
)
def test_each_ranking_by_hand(by, expected):
    assert rank_neurons(FACETS, by).tolist() == pytest.approx(expected)


def test_the_default_is_a_ranking_and_others_are_refused():
    assert DEFAULT_RANKING in RANKINGS
    assert torch.equal(rank_neurons(FACETS), rank_neurons(FACETS, DEFAULT_RANKING))
    with pytest.raises(SettingError, match="ranking must be one of strength, effect, t"):
        rank_neurons(FACETS, "beauty")


@given(st.permutations(range(6)), st.sampled_from(COMBINATIONS))
def test_combinations_follow_a_permutation_of_neurons(order, how):
    words, classes = torch.tensor([0.0, 3.0, 1.0, 1.0, 7.0, 2.0]), torch.tensor([2.0, 0.0, 5.0, 5.0, 1.0, 4.0])
    moved = combine_levels({"token": words[list(order)], "sequence": classes[list(order)]}, how)
    assert torch.allclose(moved, combine_levels({"token": words, "sequence": classes}, how)[list(order)])


def test_one_level_is_given_back_and_unknown_combinations_are_refused():
    only = torch.tensor([3.0, 1.0])
    assert all(torch.equal(combine_levels({"token": only}, how), only) for how in COMBINATIONS)
    with pytest.raises(SettingError, match="combine must be one of documents, sum, ranks, product"):
        combine_levels({"token": only, "sequence": only}, "mean")


@pytest.fixture(scope="module")
def association():
    lm = tiny_lm()
    neurons = sum(site.width for site in lm.sites)
    matrix = torch.zeros(neurons, 2)
    matrix[:3] = torch.tensor([[0.5, 0.0], [-0.3, 0.3], [0.1, 0.2]])
    made = association_of(lm, matrix)
    made.rms[:3] = torch.tensor([1.0, 2.0, 5.0])  # with a mean of 0: the deviations
    return made


def test_concepts_of_one_level_add_up_with_their_signs_forgotten(association):
    found = combined_strength(association, association.concepts, "effect")
    assert found[:4].tolist() == pytest.approx([0.5, 0.6, 0.3, 0.0])


def test_levels_combine_after_their_concepts_added_up(association):
    two_levels = type(association)(**{**_fields(association), "levels": ("token", "sequence")})
    product = combined_strength(two_levels, two_levels.concepts, "effect", "product")
    assert product[:4].tolist() == pytest.approx([0.0, 0.3, 0.02**0.5, 0.0])
    assert top_neurons(two_levels, two_levels.concepts, 1, "effect", "product").tolist() == [1]
    assert top_neurons(two_levels, two_levels.concepts, 1, "effect").tolist() == [1]  # documents alone: 0.3 > 0.2
    assert top_neurons(two_levels, two_levels.concepts, 1, "raw_effect", "sum").tolist() == [2]  # 1.5 > 1.2 > 0.5


def _fields(association):
    return {name: getattr(association, name) for name in association.__dataclass_fields__}


def test_the_order_that_users_see_can_be_chosen(association):
    names = association.neurons
    assert association.top(association.concepts[1], 2, "effect") == [names[1], names[2]]
    assert association.top(association.concepts[1], 2, "raw_effect") == [names[2], names[1]]
    assert association.top(association.concepts[1], 2) == association.top(association.concepts[1], 2, DEFAULT_RANKING)


def test_overlap_and_rank_correlation_by_hand():
    one, other = torch.tensor([5.0, 4.0, 3.0, 0.0, 0.0]), torch.tensor([4.0, 5.0, 0.0, 3.0, 0.0])
    assert jaccard(top_rows(one, 2), top_rows(other, 2)) == 1.0
    assert jaccard(top_rows(one, 4), top_rows(other, 4)) == 0.5  # three discoveries each, two of them shared
    # ranks over the four neurons that count: (4, 3, 2, 1) and (3, 4, 1, 2): 1 - 6 · 4 / (4 · 15)
    assert rank_correlation(one, other) == pytest.approx(0.6)
    assert chance_jaccard(460, 46080) == pytest.approx(0.005, abs=1e-4)


def test_agreement_has_one_value_per_pair():
    rankings = [torch.tensor([3.0, 2.0, 1.0]), torch.tensor([3.0, 2.0, 1.0]), torch.tensor([1.0, 2.0, 3.0])]
    overlaps, correlations = agreement(rankings, 1)
    assert overlaps == [1.0, 0.0, 0.0]
    assert correlations == pytest.approx([1.0, -1.0, -1.0])
    assert jaccard(torch.tensor([]), torch.tensor([])) != jaccard(torch.tensor([]), torch.tensor([]))  # NaN
