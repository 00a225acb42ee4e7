"""What the page of the calibration study says is what its published answers say: everything is computed again."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from semprune.report import load_run
from semprune.report.export import study_files
from semprune.report.run.formats import p_value
from semprune.report.run.labels import family_label
from semprune.statistics.proportions import share_interval
from semprune.statistics.skill import guessing_accuracy

DOCS = Path(__file__).parents[2] / "docs"
STUDY = DOCS / "studies" / "calibration"
METRICS = {"accuracy": "Accuracy", "auroc": "AUROC"}
pytestmark = pytest.mark.slow  # the whole analysis, twice as long as all other tests of pages


@pytest.fixture(scope="module")
def run():
    return load_run(STUDY)


@pytest.fixture(scope="module")
def page():
    return " ".join((DOCS / "calibration-study.md").read_text(encoding="utf-8").split())


def of(target):
    return "All families" if target == "all" else family_label(target)


def points(value):
    return f"{100 * value:.1f}".replace("-", "−")


@pytest.mark.parametrize(
    "name", ["calibration_ranking", "calibration_spread", "variance_shares", "own_prompts", "predictors", "prediction"]
)
def test_the_published_tables_are_those_of_the_published_answers(run, name, tmp_path):
    again = tmp_path / "table.csv"
    again.write_text(study_files(run)[f"{name}.csv"], encoding="utf-8")
    own, published = pd.read_csv(again), pd.read_csv(STUDY / "tables" / f"{name}.csv")
    assert list(own.columns) == list(published.columns)
    pd.testing.assert_frame_equal(own, published, check_exact=False, rtol=1e-4, atol=1e-5)


def test_four_data_sets_have_one_answer_and_four_beat_guessing(run, page):
    answers = pd.read_parquet(STUDY / "predictions.parquet")
    dense = answers[answers["method"] == "dense"]
    alike = dense.groupby("dataset")["prediction"].nunique()
    same = dense[dense["dataset"].isin(alike[alike == 1].index)]["dataset"].unique()
    assert set(same) == {"mrpc", "simlex", "sms_spam", "stsb"}
    beaten = []
    for name, own in dense.groupby("dataset"):
        right = (own["prediction"] == own["label"]).to_numpy()
        guessing = guessing_accuracy(own["label"].to_numpy(), np.array([len(each) for each in own["scores"]]))
        if share_interval(right, own["document_id"].tolist()).low > guessing:
            beaten.append(name)
    assert beaten == ["arc_easy", "copa", "movie_reviews", "tweets"]
    assert "of mrpc, simlex, stsb and sms_spam the dense model gives one and the same answer" in page
    assert f"({', '.join(beaten)};" in page


def test_every_gap_of_the_page_is_computed(run, page):
    for row in run.study.spread.to_dict("records"):
        p = p_value(row["p"]) if row["p"] >= 0.0015 else "0.001"
        ends = f"[{points(row['gap_low'])}, {points(row['gap_high'])}]"
        line = f"| {of(row['target'])} | {METRICS[row['metric']]} | {points(row['gap'])} | {ends} | {p} |"
        assert line in page


def test_every_share_of_the_variance_is_computed(run, page):
    shares = run.study.shares
    half = shares[shares["sparsity"] == 0.5].pivot(index=["target", "metric"], columns="factor", values="share")
    rows = re.findall(r"\| ([A-Z][\w ]+) \| (Accuracy|AUROC) ((?:\| \d+ % ){4})\|", page)
    assert len(rows) == 5
    for name, metric, cells in rows:
        [(_, own)] = [(key, each) for key, each in half.iterrows() if (of(key[0]), METRICS[key[1]]) == (name, metric)]
        found = [f"{100 * own[factor]:.0f}" for factor in ("method", "calibration", "interactions", "draw")]
        assert re.findall(r"\d+", cells) == found
    every = {metric: half.loc["all", metric] for metric in METRICS}
    for factor in ("calibration", "method", "draw"):
        accuracy, auroc = (f"{100 * every[metric][factor]:.0f} %" for metric in METRICS)
        assert f"{accuracy} " in page
        assert f"({auroc}" in page


def test_who_is_last_and_what_own_prompts_gain_is_computed(run, page):
    ranking = run.study.ranking
    for metric, name, end in (("accuracy", "c4", "p 0.089 after Holm"), ("auroc", "bbc_news", "(p 0.017)")):
        last = ranking[(ranking["target"] == "all") & (ranking["metric"] == metric)].iloc[-1]
        assert last["calibration"] == name
        assert f"[{points(last['behind_low'])}, {points(last['behind_high'])}]" in page
        assert f"{last['p_holm']:.3f}" in end
        assert end in page
    own = run.study.own_prompts
    own = own[(own["family"] == "sentiment") & (own["against"] == "mean of others") & (own["on"] == "family")]
    for row in own.to_dict("records"):
        assert f"{points(row['gain'])} [{points(row['low'])}, {points(row['high'])}]" in page.replace(" points", "")
    rest = run.study.own_prompts.query("family != 'sentiment' and on == 'family'")
    assert (rest["p"] > 0.05).all()


def test_what_predicts_is_computed(run, page):
    table = run.study.prediction
    r2 = table[table["metric"] == "accuracy"].set_index(["left_out", "model"])["r2"].round(2)
    claims = [
        f"explains {r2['method', 'table']:.2f} of the variance of accuracy for an unseen method and "
        f"{r2['calibration', 'table']:.2f} for an unseen calibration set",
        f"explain {r2['method', 'pruning']:.2f} and {r2['calibration', 'pruning']:.2f}, with calibration measures "
        f"{r2['method', 'pruning + calibration']:.2f} and {r2['calibration', 'pruning + calibration']:.2f}",
        f"the pruning facts explain {r2['dataset', 'pruning']:.2f}, for an unseen family {r2['family', 'pruning']:.2f}",
    ]
    for claim in claims:
        assert claim in page
    likeness = run.study.predictors.query("family == 'all' and kind == 'calibration'")
    assert likeness["spearman"].abs().max() < 0.035
