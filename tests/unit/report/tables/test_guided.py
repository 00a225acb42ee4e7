"""Guided beside unguided prunings of the planted study: its own prompts stand for what keeps sentiment."""

import numpy as np
import pandas as pd
import pytest
from tests.unit.analysis.planted_grid import FAMILIES, study

from semprune.cli.commands.recommend import recommend_from
from semprune.report import load_run, write_report
from semprune.report.summary.findings import findings
from semprune.report.summary.guided import guided_findings
from semprune.report.tables.guided import guided_table, guided_text

KEYS = ["backbone", "method", "pattern", "sparsity", "calibration", "calibration_sequences", "calibration_length",
        "seed"]  # fmt: skip
GUIDED = "good_set keeping sentiment*auto"


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """The study without its best set, whose place the middle one takes: it harms sentiment more than the guided one."""
    folder = tmp_path_factory.mktemp("guided")
    tables = {name: table[table["calibration"] != "good_set"] for name, table in study().items()}
    for table in tables.values():
        table["calibration"] = table["calibration"].replace({"sentiment_prompts": GUIDED, "middle_set": "good_set"})
    results = tables["results"]
    tables["results"] = with_errors(results)
    cells = results.loc[results["method"] != "dense", [*KEYS, "calibrated"]].drop_duplicates()
    figures = dict.fromkeys(("dense_d_prime", "pruned_d_prime"), 1.0) | {"dense": 0.9, "pruned": 0.6, "retained": 0.4}
    skill = {"prompt": "p", "metric": "accuracy", "n": 400, "guessing": 0.5, **figures, "low": 0.3, "high": 0.5}
    tables["retained"] = pd.concat([cells.assign(dataset=name, family=own, **skill) for name, own in FAMILIES.items()])
    luck = np.random.default_rng(0).normal(scale=0.01, size=(6, len(cells)))
    far = 0.5 + 0.1 * (cells["calibration"] == GUIDED)
    text = {"dataset": "prose", "same_top": 0.5, "nll": 3.0}
    tables["text_fidelity"] = pd.concat([cells.assign(**text, sequence=k, kl=far + luck[k]) for k in range(6)])
    one = cells[cells["calibration"] == GUIDED].iloc[:1]
    tried = [(0.0, 40.0, 0.2), (0.3, 40.4, 0.6), (1.0, 44.0, 0.9)]
    tables["strengths"] = pd.concat([
        one.assign(strength=s, perplexity=p, kept=k, dense_kept=1.2, budget=0.02, chosen=s == 0.3) for s, p, k in tried
    ])  # fmt: skip
    for name, table in tables.items():
        table.to_parquet(folder / f"{name}.parquet", index=False)
    return folder


def with_errors(results):
    """The planted figures with errors of some size."""
    ends = {end: results["value"] for end in ("low", "high")} | {f"difference_{end}": 0.0 for end in ("low", "high")}
    return results.assign(**ends, n=400, p=0.01)


def skill_of(run, dataset):
    """Right answers above guessing: of the dense model, and of Wanda at 50 % by calibration, mean of its draws."""
    answers = pd.read_parquet(run / "predictions.parquet")
    answers = answers[(answers["dataset"] == dataset) & answers["sparsity"].isin([0.0, 0.5])]
    answers = answers[answers["method"].isin(["dense", "wanda"])]
    right = answers.assign(right=answers["prediction"] == answers["label"]).groupby("calibration")["right"].mean() - 0.5
    return right[""], right


def test_shares_are_counted_and_paired(run):
    table = guided_table(load_run(run))
    own = table[(table["method"] == "wanda") & (table["sparsity"] == 0.5)].set_index("target")
    assert own.loc["sentiment", ["calibration", "protected", "draws"]].tolist() == ["good_set", "sentiment*auto", 2]
    parts = [skill_of(run, dataset) for dataset in ("sst2", "movies")]
    for name, calibration in (("unguided", "good_set"), ("guided", GUIDED)):
        share = sum(pruned[calibration] for _, pruned in parts) / sum(dense for dense, _ in parts)
        assert own.loc["sentiment", name] == pytest.approx(share)
    change = own["guided"] - own["unguided"]
    assert own.loc["sentiment", "difference"] == pytest.approx(change["sentiment"])
    assert own.loc["sentiment", "low"] > 0  # planted: a tenth less of sentiment breaks
    assert own.loc["reasoning", "difference"] == pytest.approx(0, abs=1e-9)  # the same items break
    assert own.loc["language_modelling", "difference"] == pytest.approx(0.1, abs=0.02)
    assert own.loc["language_modelling", "low"] > 0  # further from the dense model
    assert own.loc["wiki", "difference"] == pytest.approx(own.loc["wiki", "guided"] / own.loc["wiki", "unguided"] - 1)


def test_the_page_shows_them_with_the_curve_of_the_strength(run):
    shown = load_run(run)
    text = guided_text(guided_table(shown), shown.methods)
    assert {row[1] for row in text.rows} == {"sentiment*auto"}
    page = write_report(run).read_text(encoding="utf-8")
    section = page.partition('<section id="protected"')[2].partition("</section>")[0]
    for words in ("How much protection within the budget", "perplexity added, %", "+1.0 %", "chosen"):
        assert words in section


def test_a_guided_choice_is_recommended_with_what_it_costs(run, capsys):
    recommend_from([str(run), "--for", "sentiment", "--sparsity", "0.5"])
    said = " ".join(capsys.readouterr().out.split())
    assert f"Wanda with {GUIDED} keeps most" in said
    assert "Beside good_set alone, keeping sentiment*auto: sentiment kept +" in said
    assert "reasoning kept 0 [" in said
    assert "perplexity of wiki 0.0 %." in said


def test_the_summary_begins_with_what_is_kept(run):
    shown = load_run(run)
    own = guided_table(shown)
    own = own[(own["target"] == "sentiment") & (own["method"] == "wanda") & (own["sparsity"] == 0.5)].iloc[0]
    first = findings(shown)[0]
    assert first.subject == "Keeping sentiment*auto:"
    guided, unguided = round(100 * own["guided"]), round(100 * own["unguided"])
    assert f"{guided}\u00a0% instead of {unguided}\u00a0% with Wanda 50 % (+" in str(first)
    assert "; perplexity " in str(first)
    assert not [each for each in guided_findings(shown) if "@" in each.subject]


def test_what_is_kept_beside_a_calibration_set_is_no_further_set(run, tmp_path):
    assert load_run(run).study is None  # one set, and guided
    for name, table in study().items():
        table["calibration"] = table["calibration"].replace({"sentiment_prompts": GUIDED})
        table = with_errors(table) if name == "results" else table
        table.to_parquet(tmp_path / f"{name}.parquet", index=False)
    compared = load_run(tmp_path).study
    assert compared is not None
    assert set(compared.ranking["calibration"]) == set(study()["results"]["calibration"]) - {"", "sentiment_prompts"}
