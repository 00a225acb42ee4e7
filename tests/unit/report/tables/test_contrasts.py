"""Each family against the others: by hand, against a direct simulation, and in the files and the summary."""

import numpy as np
import pandas as pd
import pytest

from semprune.report import load_run, write_tables
from semprune.report.summary.finding import hardest_hit
from semprune.report.summary.findings import findings
from semprune.report.tables.contrasts import CONTRAST_METRICS, contrast_table
from semprune.report.tables.headline import headline_table
from semprune.statistics.intervals import difference_with_interval


@pytest.fixture
def run(built_run):
    return load_run(built_run)


def test_difference_equals_the_textbook_formula_for_symmetric_intervals():
    # standard errors 3 and 4 in quadrature: 5
    half = 1.96
    one, other = (10.0, 10 - 3 * half, 10 + 3 * half), (4.0, 4 - 4 * half, 4 + 4 * half)
    assert difference_with_interval(one, other) == pytest.approx((6.0, 6 - 5 * half, 6 + 5 * half))


def test_an_asymmetric_interval_stays_asymmetric():
    assert difference_with_interval((5.0, 2.0, 9.0), (1.0, 1.0, 1.0)) == pytest.approx((4.0, 1.0, 8.0))


def test_contrast_is_the_family_mean_minus_the_mean_of_all_other_data_sets(run):
    contrasts = contrast_table(run)
    assert set(contrasts["metric"]) <= set(CONTRAST_METRICS)
    assert len(contrasts) > 0
    for row in contrasts.to_dict("records"):
        table = headline_table(run, row["metric"])
        table = table[(table["setting"] == row["setting"]) & (table["family"] != "language_modelling")]
        means = table.groupby(["family", "dataset"])["damage"].mean()
        own = means[row["family"]]
        others = means.drop(row["family"], level="family")
        assert (row["datasets"], row["others"]) == (len(own), len(others))
        assert row["difference"] == pytest.approx(own.mean() - others.mean())
        assert row["difference_low"] <= row["difference"] <= row["difference_high"]
        above, below = row["difference_low"] > 0, row["difference_high"] < 0
        side = {"most": above, "more": above, "least": below, "less": below}
        assert side.get(row["verdict"], row["difference_low"] <= 0 <= row["difference_high"])


def test_two_families_contrast_with_opposite_signs(run):
    contrasts = contrast_table(run)
    groups = [rows for _, rows in contrasts.groupby(["metric", "setting"]) if len(rows) == 2]
    assert groups
    for rows in groups:
        one, other = rows.to_dict("records")
        assert one["difference"] == pytest.approx(-other["difference"])
        assert one["difference_low"] == pytest.approx(-other["difference_high"])


def test_a_single_family_has_nothing_to_be_compared_with(edit):
    alone = edit("results", lambda results: results[results["family"].isin(["sentiment", "language_modelling"])])
    assert contrast_table(load_run(alone)).empty
    assert hardest_hit(load_run(alone)) == []


def test_the_planted_loser_is_named(edit):
    def sentiment_loses(results):
        results = results.copy()
        pruned = (results["method"] != "dense") & (results["metric"] == "accuracy")
        for family, drop in (("sentiment", 0.4), ("reasoning", 0.1)):
            rows = pruned & (results["family"] == family)
            results.loc[rows, ["difference", "difference_low", "difference_high"]] = [-drop, -drop - 0.02, -drop + 0.02]
        return results

    run = load_run(edit("results", sentiment_loses))
    said = next(finding for finding in hardest_hit(run) if finding.subject == "Hit hardest by accuracy:")
    assert "sentiment, with Magnitude 50 % and Wanda 50 % more than every other family" in said.text
    assert said.verdict == "worse"
    assert str(said) in [str(finding) for finding in findings(run)]


def test_the_files_hold_the_contrasts(built_run):
    paths = {path.name: path for path in write_tables(built_run)}
    stored = pd.read_csv(paths["contrasts.csv"])
    computed = contrast_table(load_run(built_run))
    np.testing.assert_allclose(stored["difference"], computed["difference"])
    assert len(paths["contrasts.md"].read_text(encoding="utf-8").splitlines()) == len(computed) + 2
