"""``semprune recommend`` on the planted study."""

import numpy as np
import pandas as pd
import pytest
from tests.unit.report.study_run import build_study

from semprune.cli.__main__ import main
from semprune.report import load_run
from semprune.report.summary.calibration import study_findings


@pytest.fixture(scope="module")
def planted(tmp_path_factory):
    return build_study(tmp_path_factory.mktemp("recommend") / "run")


def said(capsys, *arguments):
    status = main(["recommend", *map(str, arguments)])
    captured = capsys.readouterr()
    return status, " ".join((captured.out + captured.err).split())


def test_it_names_the_planted_best_and_its_ties_at_every_sparsity(planted, capsys):
    status, text = said(capsys, planted, "--for", "sentiment")
    assert status == 0
    assert text.startswith("by AUROC, in points only: this run was made before the share of skill was measured")
    assert "For sentiment at 30 %, by AUROC (sst2 and movies; 800 items; 2 draws of each calibration set)" in text
    first = text.split("drops least")[0]
    assert "Wanda with good_set" in first or "Wanda with sentiment_prompts" in first
    assert "Not clearly worse: Wanda with" in text
    assert "For sentiment at 50 %" in text
    assert "Magnitude none" in text  # at 50 % it is in the table, without a calibration set


def test_one_sparsity_and_few_rows(planted, capsys):
    _, text = said(capsys, planted, "--for", "piqa", "--sparsity", "0.5", "--top", "2", "--metric", "accuracy")
    assert "at 30 %" not in text
    assert "Wanda with good_set drops least" in text
    assert "Magnitude none" not in text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--for", "poetry"], "SettingError: target must be one of all, sentiment, reasoning"),
        (["--sparsity", "0.4"], "SettingError: sparsity must be one of the study's: 0.3, 0.5"),
        (["--pattern", "2:4"], "SettingError: pattern must be one of the study's: unstructured"),
        (["--method", "owl"], "SettingError: method must be one of the study's"),
    ],
)
def test_what_the_study_cannot_answer_is_one_line(planted, capsys, arguments, message):
    status, text = said(capsys, planted, *arguments)
    assert status == 2
    assert message in text


def test_a_run_without_predictions_says_what_to_do(planted, capsys, tmp_path):
    (tmp_path / "results.parquet").write_bytes((planted / "results.parquet").read_bytes())
    status, text = said(capsys, tmp_path)
    assert status == 2
    assert "predictions.parquet" in text
    assert "Run `semprune study`" in text


def test_a_run_of_the_dense_model_alone_has_nothing_to_recommend(planted, capsys, tmp_path):
    for name in ("results", "predictions"):
        table = pd.read_parquet(planted / f"{name}.parquet")
        table[table["method"] == "dense"].to_parquet(tmp_path / f"{name}.parquet")
    status, text = said(capsys, tmp_path)
    assert status == 2
    assert "ConfigurationError: the run holds the dense model alone" in text


def test_by_skill_where_the_run_has_it(planted, capsys, tmp_path):
    status, text = said(capsys, planted, "--metric", "skill")
    assert status == 2
    assert "this run has no share of skill. Run `semprune study`" in text
    for path in planted.glob("*.parquet"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    predictions = pd.read_parquet(tmp_path / "predictions.parquet")
    shape = predictions[
        ["method", "pattern", "sparsity", "calibration", "calibration_sequences", "calibration_length", "seed"]
    ]
    cells = shape[shape["method"] != "dense"].drop_duplicates()
    figures = dict.fromkeys(("dense_d_prime", "pruned_d_prime"), 1.0) | {"dense": 0.9, "pruned": 0.6, "retained": 0.4}
    row = {"family": "sentiment", "dataset": "sst2", "prompt": "p", "metric": "accuracy", "n": 400, "guessing": 0.5}
    cells.assign(**row, **figures, low=0.3, high=0.5).to_parquet(tmp_path / "retained.parquet", index=False)
    status, text = said(capsys, tmp_path, "--sparsity", "0.5")
    assert status == 0
    assert "For all at 50 %, by share of skill (sst2; 400 items; 2 draws of each calibration set)" in text
    assert "keeps most" in text
    assert "% of the dense model's skill [" in text
    _, text = said(capsys, tmp_path, "--sparsity", "0.5", "--metric", "accuracy")
    assert "drops least" in text


def test_by_fidelity_it_needs_no_label(planted, capsys, tmp_path):
    for path in planted.glob("*.parquet"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    _, text = said(capsys, tmp_path, "--by", "fidelity", "--for", "sentiment", "--sparsity", "0.5")
    assert "For sentiment at 50 %, by KL divergence over choices (sst2 and movies; 800 items;" in text
    assert "is nearest to the dense model" in text
    assert (
        "Wanda with good_set" in text.split("nearest")[0] or "Wanda with sentiment_prompts" in text.split("nearest")[0]
    )
    status, text = said(capsys, tmp_path, "--by", "fidelity", "--for", "language_modelling")
    assert status == 2
    assert "this run has no fidelity of a text. Run `semprune study`" in text
    predictions = pd.read_parquet(tmp_path / "predictions.parquet")
    keys = ["backbone", "method", "pattern", "sparsity", "calibration", "calibration_sequences", "calibration_length",
            "seed", "calibrated"]  # fmt: skip
    cells = predictions[keys].drop_duplicates()
    luck = np.random.default_rng(0).normal(scale=0.001, size=(6, len(cells)))
    far = cells["sparsity"] + 0.1 * (cells["method"] == "ria") + 0.02 * (cells["calibration"] != "good_set")
    rows = [cells.assign(dataset="prose", sequence=place, kl=far + luck[place], same_top=0.5, nll=3.0)
            for place in range(6)]  # fmt: skip
    pd.concat(rows).to_parquet(tmp_path / "text_fidelity.parquet", index=False)
    _, text = said(capsys, tmp_path, "--by", "fidelity", "--sparsity", "0.5")
    assert "For language_modelling at 50 %, by KL divergence per token (prose; 6 sequences;" in text
    assert "Wanda with good_set is nearest to the dense model, 0.500 nats per token [" in text
    assert "Not clearly worse: Magnitude." in text  # as near as the best one, by construction


def of_one_draw(planted, folder):
    for path in planted.glob("*.parquet"):
        table = pd.read_parquet(path)
        (table[table["seed"] == 0] if "seed" in table else table).to_parquet(folder / path.name, index=False)
    return folder


def test_one_draw_cannot_tell_a_set_from_its_luck_here_as_on_the_page(planted, capsys, tmp_path):
    run = of_one_draw(planted, tmp_path)
    _, text = said(capsys, run, "--for", "sentiment", "--sparsity", "0.5", "--metric", "auroc")
    assert "one draw of each calibration set" in text
    untold = next(finding for finding in study_findings(load_run(run)) if "by AUROC" in finding.subject)
    assert "cannot tell a set from the luck of its draw" in untold.text
    assert untold.text in text
    assert ". Every other choice is clearly worse" not in text
    _, repeated = said(capsys, planted, "--for", "sentiment", "--sparsity", "0.5", "--metric", "auroc")
    assert "cannot tell" not in repeated


def test_an_item_in_two_wordings_is_one_item(planted, capsys, tmp_path):
    run = of_one_draw(planted, tmp_path)
    answers = pd.read_parquet(run / "predictions.parquet")
    twice = pd.concat([answers, answers.assign(prompt="another")], ignore_index=True)
    twice.to_parquet(run / "predictions.parquet", index=False)
    _, text = said(capsys, run, "--for", "sentiment", "--sparsity", "0.5", "--metric", "accuracy")
    assert "(sst2 and movies; 800 items;" in text
