"""The tables: damage, verdicts, Holm, family means, and what is written to files and to the terminal."""

import io

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from semprune.report import load_run, terminal_table, write_report, write_tables
from semprune.report.tables.headline import family_table, headline_metrics, headline_table, left_out_text
from semprune.statistics.intervals import mean_with_interval
from semprune.statistics.significance import holm


@pytest.fixture
def run(built_run):
    return load_run(built_run)


def test_family_mean_by_hand():
    # (10 + 6) / 2 = 8; below sqrt(3² + 4²) / 2 = 2.5; above sqrt(6² + 8²) / 2 = 5
    assert mean_with_interval([10, 6], [7, 2], [16, 14]) == (8.0, 5.5, 13.0)


def test_family_mean_equals_the_textbook_formula_for_symmetric_intervals():
    errors = np.array([1.0, 2.0, 2.0])
    values = np.array([3.0, 5.0, 1.0])
    mean, low, high = mean_with_interval(values, values - 1.96 * errors, values + 1.96 * errors)
    half = 1.96 * np.sqrt((errors**2).sum()) / 3
    assert (mean, low, high) == pytest.approx((3.0, 3.0 - half, 3.0 + half))


def test_each_family_has_its_headline_metric(run):
    assert headline_metrics(run) == {
        "sentiment": "auroc",
        "similarity": "auroc",
        "reasoning": "accuracy",
        "topic": "calibrated_accuracy",
        "language_modelling": "perplexity",
    }


def test_damage_is_a_drop_for_scores_and_a_rise_for_perplexity(run):
    table = headline_table(run)
    stored = run.results.set_index(["setting", "dataset", "metric"])
    for row in table.to_dict("records"):
        source = stored.loc[(row["setting"], row["dataset"], row["metric"])]
        sign = 1 if row["metric"] == "perplexity" else -1
        ends = sorted((sign * source["difference_low"], sign * source["difference_high"]))
        assert row["damage"] == pytest.approx(sign * source["difference"])
        assert [row["damage_low"], row["damage_high"]] == pytest.approx(ends)
        dense = stored.loc[("dense", row["dataset"], row["metric"])]
        assert (row["dense"], row["dense_low"], row["dense_high"]) == tuple(dense[["value", "low", "high"]])


def test_verdicts_need_an_interval_that_excludes_zero(edit):
    def three_cases(results):
        rows = results[(results["method"] == "wanda") & (results["metric"] == "auroc")].head(4).copy()
        rows["difference"] = [-0.1, -0.1, 0.1, -0.1]
        rows["difference_low"], rows["difference_high"] = [-0.2, -0.2, 0.05, np.nan], [-0.01, 0.0, 0.2, np.nan]
        return rows

    table = headline_table(load_run(edit("results", three_cases)), "auroc")
    assert table["verdict"].tolist() == ["worse", "unclear", "better", "unclear"]


def test_holm_runs_across_data_sets_within_a_method_and_leaves_perplexity_apart(run):
    table = headline_table(run)
    for setting, rows in table.groupby("setting"):
        scored = rows[rows["metric"] != "perplexity"]
        assert len(scored) == 6, setting
        assert scored["p_holm"].tolist() == holm(scored["p"].tolist()).tolist()


def test_prompts_of_one_data_set_count_once_in_the_family_mean(edit):
    def second_prompt(results):
        sst2 = results[results["dataset"] == "sst2"]
        return pd.concat([results, sst2.assign(prompt="other")])

    run = load_run(edit("results", second_prompt))
    families = family_table(headline_table(run)).set_index(["family", "setting"])
    alone = headline_table(run)
    alone = alone[(alone["prompt"] == "default") & (alone["setting"] == "Wanda 50 %")]
    expected = alone.loc[alone["family"] == "sentiment", "damage"].mean()
    assert families.loc[("sentiment", "Wanda 50 %"), "datasets"] == 3
    assert families.loc[("sentiment", "Wanda 50 %"), "damage"] == pytest.approx(expected)


ABLATED = ("frontier", "frontier_doses", "mediation", "carriers", "gate_controls", "gate_overlap")


def test_written_tables_hold_the_stored_values(run_dir):
    paths = {path.name: path for path in write_tables(run_dir)}
    assert sorted(paths) == sorted(
        f"{name}.{kind}"
        for name in ("contrasts", "families", "scores", "readout_loss", "causal_loss", *ABLATED)
        for kind in ("csv", "md", "tex")
    )
    scores = pd.read_csv(paths["scores.csv"], keep_default_na=False, na_values=[""])
    stored = pd.read_parquet(run_dir / "results.parquet").query("method != 'dense'")
    keys = ["method", "dataset", "metric"]
    both = scores.merge(stored, on=keys, suffixes=("", "_stored"))
    assert len(both) == len(stored) == len(scores)
    for column in ("value", "dense", "difference_low", "p"):
        np.testing.assert_array_equal(both[column], both[f"{column}_stored"])
    row = stored[(stored["method"] == "wanda") & (stored["dataset"] == "sst2") & (stored["metric"] == "auroc")].iloc[0]
    markdown = paths["scores.md"].read_text(encoding="utf-8")
    assert (
        f"| sst2 | AUROC | Wanda 50 % | 400 | 92.1 | {100 * row['value']:.1f} | {-100 * row['difference']:.1f} |"
        in markdown
    )
    assert not list(run_dir.rglob("*.tmp"))


def test_terminal_table_fits_80_columns_and_holds_the_numbers(run):
    console = Console(file=io.StringIO(), width=80, color_system=None)
    console.print(terminal_table(run))
    text = console.file.getvalue()
    row = headline_table(run).query("dataset == 'mrpc' and setting == 'Wanda 50 %'").iloc[0]
    line = next(line for line in text.splitlines() if line.strip().startswith("mrpc"))
    assert f"{100 * row['value']:.1f}" in line
    assert f"{100 * row['damage']:.1f} [" in line
    assert "…" not in text
    assert "Sentiment, AUROC" in text
    assert "mean" in text


def test_items_that_were_left_out_are_counted_where_the_scores_stand(run, edit):
    assert left_out_text(run) == ""  # of before the count

    def two_left_out(results):
        return results.assign(left_out=[2 * (name == "sst2") for name in results["dataset"]])

    edited = load_run(edit("results", two_left_out))
    n = int(edited.results.loc[edited.results["dataset"] == "sst2", "n"].iloc[0])
    assert left_out_text(edited) == f"left out, as a choice has no token of its own: 2 of {n + 2} of sst2"
    terminal = io.StringIO()
    Console(file=terminal, width=400).print(terminal_table(edited))
    assert f"2 of {n + 2} of sst2" in terminal.getvalue()
    assert f"2 of {n + 2} of sst2; the same ones for dense and pruned" in write_report(edited).read_text("utf-8")
