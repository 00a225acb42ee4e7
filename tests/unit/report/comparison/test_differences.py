"""Differences of two runs: exact where they can be worked out, intervals against independent references."""

import numpy as np
import pandas as pd
import pytest
from tests.unit.report.comparison.conftest import ITEMS, answers

from semprune.evaluation.results.comparison import compare_areas, compare_shares
from semprune.report.comparison.page import DENSE, Comparison
from semprune.statistics.auroc import auroc_values


def figures(comparison, label="Wanda 50 %"):
    return {(row.kind, row.dataset or row.family, row.measure): row for row in comparison.rows[label]}


@pytest.fixture(scope="module")
def compared(runs):
    return figures(Comparison.read(*runs))


def of(table, dataset):
    return table[table["dataset"] == dataset].sort_values("item_id", ignore_index=True)


def areas(table, dataset):
    own = of(table, dataset)
    return auroc_values(np.array(own["scores"].tolist()), own["label"].to_numpy())


def shares(whole, table, dataset, left_out=None):
    """Share of skill kept on an AUROC of which a document is left out; the items' values stay."""
    keep = of(table, dataset)["document_id"].to_numpy() != left_out
    dense, own = areas(whole, dataset)[keep].mean(), areas(table, dataset)[keep].mean()
    return (own - 0.5) / (dense - 0.5)


def test_a_run_beside_itself_differs_in_nothing(runs):
    comparison = Comparison.read(runs[0], runs[0])

    assert comparison.differing == []
    assert DENSE not in comparison.rows  # their answers are the same
    assert len(figures(comparison)) == 4 + 3 + 6  # skill with one family of several, scores, text and flips
    for row in figures(comparison).values():
        assert row.difference[0] == 0
        assert row.verdict == "unclear"


def test_auroc_and_shares_are_compared_as_an_evaluation_compares_them(compared, weak, strong):
    own = of(strong, "sst2")
    expected = compare_areas(areas(strong, "sst2"), areas(weak, "sst2"), own["label"].to_numpy(), own["document_id"])
    row = compared["points", "sst2", "auroc"]
    assert (row.first[0], row.second[0], row.n) == (expected["dense"], expected["value"], ITEMS)
    ends = expected["difference"], expected["difference_low"], expected["difference_high"]
    assert row.difference == pytest.approx(ends, abs=1e-12)

    right = [
        np.array([np.argmax(np.divide(s, n)) for s, n in zip(t["scores"], t["lengths"], strict=True)]) == t["label"]
        for t in (of(weak, "piqa"), of(strong, "piqa"))
    ]
    expected = compare_shares(right[1].to_numpy(), right[0].to_numpy(), of(weak, "piqa")["document_id"])
    row = compared["points", "piqa", "acc_norm"]
    assert row.difference[0] == pytest.approx(expected["difference"], abs=1e-12)
    assert row.difference[0] == pytest.approx(right[1].mean() - right[0].mean())


def test_the_difference_of_skill_is_that_of_the_shares_with_the_jackknife_s_error(compared, weak, strong):
    whole = answers(0.4, 0)
    row = compared["skill", "sst2", "retained"]
    both = [shares(whole, table, "sst2") for table in (weak, strong)]
    assert (row.first[0], row.second[0]) == pytest.approx(both)
    assert row.difference[0] == pytest.approx(both[1] - both[0])

    documents = sorted(set(weak["document_id"]))
    without = np.array([
        shares(whole, strong, "sst2", one) - shares(whole, weak, "sst2", one) for one in documents
    ])  # fmt: skip
    error = np.sqrt((len(documents) - 1) / len(documents) * np.square(without - without.mean()).sum())
    half = (row.difference[2] - row.difference[1]) / 2
    assert half / 2.045 == pytest.approx(error, rel=0.1)  # Student's t of 29 degrees of freedom


def test_a_family_is_pooled_over_its_data_sets(compared, weak, strong):
    whole = answers(0.4, 0)
    above = {name: [areas(t, name).mean() - 0.5 for t in (whole, weak, strong)] for name in ("sst2", "movie_reviews")}
    dense, first, second = np.sum(list(above.values()), axis=0)
    row = compared["skill", "sentiment", "retained"]
    assert row.difference[0] == pytest.approx((second - first) / dense)
    assert row.n == 2 * ITEMS
    assert ("skill", "reasoning", "retained") not in compared  # one data set needs no pooling


def test_flips_are_of_each_one_s_dense_model(compared, weak, strong):
    whole = of(answers(0.4, 0), "piqa")
    right = [(t["prediction"] == t["label"]).to_numpy() for t in (whole, of(weak, "piqa"), of(strong, "piqa"))]
    flips = [(right[0] != other).mean() for other in right[1:]]
    row = compared["fidelity", "piqa", "flips"]
    assert (row.first[0], row.second[0], row.difference[0]) == pytest.approx((*flips, flips[1] - flips[0]))


def test_the_one_that_is_clearly_better_is_named(compared):
    assert compared["skill", "sentiment", "retained"].verdict == "better"
    assert compared["fidelity", "sst2", "flips"].verdict == "better"  # fewer of them


def test_text_is_paired_by_sequence_where_it_is_the_same(compared, own_runs):
    row = compared["fidelity", "wiki", "kl"]
    tables = [np.random.default_rng(seed).uniform(0.1, 1.0, size=(6, 3))[:, 0] for seed in (1, 2)]
    change = tables[1] - tables[0]
    margin = 2.5706 * change.std(ddof=1) / np.sqrt(6)
    assert row.n == 6
    assert row.difference == pytest.approx((change.mean(), change.mean() - margin, change.mean() + margin), abs=1e-4)

    path = own_runs[1] / "provenance.json"
    path.write_text(path.read_text().replace("wiki", "c4"))
    row = figures(Comparison.read(*own_runs))["fidelity", "wiki", "kl"]
    assert row.n == 0
    assert row.difference[2] - row.difference[0] == pytest.approx(np.hypot(row.second[2] - row.second[0], row.first[0]))


def test_only_shared_items_are_paired(make_run, runs, weak, strong):
    few = [table[table["item_id"] < "020"].reset_index(drop=True) for table in (answers(0.4, 0), strong, weak)]
    read = Comparison.read(runs[0], make_run("few", {"wanda": few[1]}, dense=few[0]))
    row = figures(read)["points", "sst2", "auroc"]
    assert row.n == 20
    assert row.first[0] == pytest.approx(areas(few[2], "sst2").mean())
    assert row.first[0] != pytest.approx(areas(weak, "sst2").mean())


@pytest.mark.parametrize("change", ["items", "labels"])
def test_runs_of_other_items_are_compared_unpaired(make_run, runs, weak, change):
    whole, other = answers(0.4, 5, first=100), answers(0.6, 6, first=100)
    if change == "labels":
        whole, other = (t.assign(item_id=weak["item_id"], label=1 - weak["label"]) for t in (whole, other))
        other = other.assign(prediction=1 - other["label"])
    read = Comparison.read(runs[0], make_run("other", {"wanda": other}, dense=whole))
    row = figures(read)["points", "piqa", "acc_norm"]
    assert row.n == 0
    below = np.hypot(row.second[0] - row.second[1], row.first[2] - row.first[0])
    assert row.difference[0] - row.difference[1] == pytest.approx(below)
    assert DENSE in read.rows


def test_older_runs_are_compared_in_points(own_runs):
    for name in ("retained", "fidelity", "text_fidelity"):
        (own_runs[0] / f"{name}.parquet").unlink()
    kinds = {row.kind for row in Comparison.read(*own_runs).rows["Wanda 50 %"]}
    assert kinds == {"points", "fidelity"}  # flips need the answers alone


def test_the_tables_alone_are_enough(make_run, weak, strong):
    runs = [make_run("a", {"wanda": weak}), make_run("bb", {"wanda": strong})]
    (runs[1] / "predictions.parquet").unlink()
    row = figures(Comparison.read(*runs))["points", "sst2", "auroc"]
    assert row.n == 0
    results = [
        pd.read_parquet(run / "results.parquet").query("dataset == 'sst2' and metric == 'auroc'") for run in runs
    ]
    expected = [float(table.loc[table["method"] == "wanda", "value"].iloc[0]) for table in results]
    assert (row.first[0], row.second[0]) == pytest.approx(expected)
