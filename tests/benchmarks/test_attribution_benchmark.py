"""The pure parts of the attribution benchmark: stored measurements, intervals, comparisons, halves of word lists."""

import json

import numpy as np
import pytest
import torch
from benchmarks.attribution.comparison import Draws, against, chosen, compare_rankings
from benchmarks.attribution.intervals import efficiency, mean_auroc, mean_nll, seed_weights, unit_weights
from benchmarks.attribution.sensitivity import halves
from benchmarks.attribution.settings import SELECTION, TESTS
from benchmarks.attribution.store import Store, address
from benchmarks.attribution.tables import causal_table, markdown, over_seeds, with_interval

from semprune.concepts.concept import Concept


def test_a_measurement_is_made_once_and_a_cut_line_is_made_again(tmp_path):
    path, made = tmp_path / "runs" / "measurements.jsonl", []

    def make():
        made.append(1)
        return {"value": len(made)}

    assert Store(path).find_or_make("fit", {"seed": 0}, make) == {"value": 1}
    assert Store(path).find_or_make("fit", {"seed": 0}, make) == {"value": 1}
    assert Store(path).find_or_make("fit", {"seed": 1}, make) == {"value": 2}
    path.write_text(path.read_text()[:-5])  # killed while it wrote
    assert Store(path).find_or_make("fit", {"seed": 1}, make) == {"value": 3}
    lines = [json.loads(line)["address"] for line in path.read_text().splitlines()]
    assert lines == [address("fit", {"seed": 0}), address("fit", {"seed": 1})]


def test_auroc_and_perplexity_are_means_over_seeds_of_each_draw():
    odds, labels = np.array([[0.0, 2.0, 1.0, 3.0], [3.0, 0.0, 2.0, 1.0]]), [0, 0, 1, 1]
    # seed 0: pairs (0,1) (0,3) (2,3) right, (2,1) wrong: 3/4; seed 1: (0,2) (0,1) right: 2/4
    found = mean_auroc(odds, labels, np.array([[1.0, 1, 1, 1], [1, 1, 0, 2]]), np.array([[0.5, 0.5], [1.0, 0.0]]))
    assert found.tolist() == [0.625, 1.0]
    nll = mean_nll(np.array([[1.0, 2.0], [3.0, 6.0]]), np.array([[1.0, 1.0], [2.0, 0.0]]), np.array([[0.5, 0.5]] * 2))
    assert nll.tolist() == [3.0, 2.0]


def test_draws_start_with_the_sample_and_keep_documents_whole():
    items = unit_weights(["a", "a", "b"], 50)
    assert items.shape == (51, 3)
    assert items[0].tolist() == [1.0, 1.0, 1.0]
    assert (items[:, 0] == items[:, 1]).all()
    seeds = seed_weights(5, 50)
    assert seeds.shape == (51, 5)
    assert np.allclose(seeds.sum(1), 1)


def measured(odds, nll):
    return {"sets": {name: {"odds": odds} for name in (*TESTS, SELECTION)}, "nll": nll}


@pytest.fixture
def draws():
    labels = [0] * 10 + [1] * 10
    right, half = [float(label) for label in labels], [0.0] * 20
    dense = measured(right, [2.0] * 4)
    for own in dense["sets"].values():
        own |= {"labels": labels, "documents": [str(k) for k in range(20)]}
    runs = {
        "association: t, classes": [measured(half, [2.1] * 4)] * 2,
        "association: t, classes | matched random": [measured(right, [2.1] * 4)] * 2,
        "association: effect, words": [measured(half, [2.5] * 4)] * 2,
        "largest mean |activation|": [measured(half, [2.0] * 4)] * 2,
        "random": [measured(right, [2.0] * 4)] * 2,
    }
    return Draws(dense, runs)


def test_rankings_are_compared_by_effect_per_unit_of_perplexity(draws):
    table = compare_rankings(draws).set_index("ranking")
    best = table.loc["association: t, classes"]
    assert best["drop"]["value"] == pytest.approx(0.5)
    assert best["rise"]["value"] == pytest.approx(0.1)
    assert best["efficiency"]["value"] == pytest.approx(5.0)
    assert best["excess"]["value"] == pytest.approx(0.5)
    assert table.loc["random", "drop"]["value"] == pytest.approx(0.0)
    assert table.loc["association: effect, words", "efficiency"]["value"] == pytest.approx(1.0)
    assert table.index[0] == "largest mean |activation|"  # 0.5 per floor of 0.02


def test_only_the_associations_rankings_can_be_the_default(draws):
    table = compare_rankings(draws)
    assert chosen(table) == "association: t, classes"
    differences = against(draws, "association: t, classes").set_index("ranking")["difference"]
    assert differences["random"]["value"] == pytest.approx(0.5)
    assert differences["association: effect, words"]["value"] == pytest.approx(0.0)
    assert len(causal_table(table).splitlines()) == 2 + len(table)


def test_a_rise_below_the_floor_counts_as_the_floor():
    assert efficiency(np.array([0.1]), np.array([0.01])).tolist() == [5.0]


def test_halves_share_no_word_and_lose_none():
    concepts = (Concept("a.many", tuple("abcdefg")), Concept("a.one", ("x",)), Concept("a.digits", (), r"\d+"))
    one, other = halves(concepts, seed=3)
    assert [concept.name for concept in one] == [concept.name for concept in other] == ["a.many"]
    assert not set(one[0].words) & set(other[0].words)
    assert sorted(one[0].words + other[0].words) == list("abcdefg")
    assert halves(concepts, seed=3) == (one, other)


def test_tables_by_hand():
    assert markdown(["a", "b"], [["1", "2"]]) == "| a | b |\n|---|---|\n| 1 | 2 |"
    assert with_interval(None) == ""
    assert over_seeds([0.0, 1.0])["value"] == 0.5
    assert torch.tensor(over_seeds([float("nan")])["value"]).isnan()
