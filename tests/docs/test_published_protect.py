"""What the page says of guided prunings is what the published answers say: tables and losses are computed again."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from benchmarks.protect_page import page
from sklearn.metrics import roc_auc_score

from semprune.report import load_run
from semprune.report.tables.guided import SKILL, guided_table

DOCS = Path(__file__).parents[2] / "docs"
RUNS = sorted(path.parent for path in (DOCS / "studies" / "protect").glob("*/results.parquet"))
SENTIMENT = ["movie_reviews", "nyt_editorials", "tweets"]


@pytest.mark.parametrize("folder", RUNS, ids=lambda path: path.name)
def test_every_table_of_the_page_is_the_command_s(folder):
    text = (DOCS / "how-to" / "protect.md").read_text(encoding="utf-8")
    for name, table in page(load_run(folder)).items():
        assert table in text, name


@pytest.mark.parametrize("folder", RUNS, ids=lambda path: path.name)
def test_skill_kept_is_that_of_auroc_by_another_library(folder):
    answers = pd.read_parquet(folder / "predictions.parquet")
    own = answers[answers["dataset"].isin(SENTIMENT)].copy()
    own["log_odds"] = [scores[1] - scores[0] for scores in own["scores"]]
    own["amount"] = [(pattern, round(sparsity, 4)) for pattern, sparsity in own[["pattern", "sparsity"]].to_numpy()]
    auroc = own.groupby(["method", "amount", "calibration", "seed", "dataset"]).apply(
        lambda rows: roc_auc_score(rows["label"], rows["log_odds"]) - 0.5, include_groups=False
    )
    dense = auroc.xs("dense", level="method").groupby("dataset").mean()
    table = guided_table(load_run(folder))
    for row in table[(table["target"] == "sentiment") & (table["measure"] == SKILL)].itertuples():
        guided = f"{row.calibration} keeping {row.protected}"
        for calibration, kept in ((row.calibration, row.unguided), (guided, row.guided)):
            amount = (row.pattern, round(row.sparsity, 4))
            pruned = auroc.xs((row.method, amount, calibration), level=("method", "amount", "calibration"))
            pruned = pruned.groupby("dataset").mean()
            assert kept == pytest.approx(pruned.sum() / dense.sum(), abs=2e-3), (row.method, calibration)
    assert np.isfinite(table.loc[table["measure"] == SKILL, "difference"]).all()
