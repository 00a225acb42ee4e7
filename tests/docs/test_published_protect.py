"""What the page says of guided prunings is what the published answers say: skill is computed again."""

from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from semprune.report import load_run
from semprune.report.tables.guided import SKILL, guided_table

DOCS = Path(__file__).parents[2] / "docs"
RUNS = sorted(path.parent for path in (DOCS / "studies" / "protect").glob("*/results.parquet"))
FAMILIES = {"sentiment": ["movie_reviews", "nyt_editorials", "tweets"], "topic": ["trec", "bbc_news"]}
"""Data sets with a fixed set of labels, whose skill is AUROC."""
REASONING = [run for run in RUNS if "-reasoning" in run.name]


def skill(rows):
    """AUROC above one half, the mean over pairs of labels."""
    scores, labels = np.stack(rows["scores"].to_list()), rows["label"].to_numpy()
    pairs = []
    for first, second in combinations(np.unique(labels), 2):
        both = np.isin(labels, [first, second])
        pairs.append(roc_auc_score(labels[both] == second, scores[both, second] - scores[both, first]))
    return np.mean(pairs) - 0.5


def accuracy(rows, *, by_length):
    """Share of right answers above the most frequent one's."""
    labels = rows["label"].to_numpy()
    scores = [own / lengths if by_length else own for own, lengths in zip(rows["scores"], rows["lengths"], strict=True)]
    right = np.mean([np.argmax(own) == label for own, label in zip(scores, labels, strict=True)])
    return right - np.bincount(labels).max() / len(labels)


@pytest.mark.parametrize("folder", REASONING, ids=lambda path: path.name)
def test_reasoning_kept_is_that_of_the_answers_counted_again(folder):
    answers, table = pd.read_parquet(folder / "predictions.parquet"), guided_table(load_run(folder))
    columns = ["method", "calibration", "seed", "dataset"]
    each = {about: accuracy(rows, by_length=about[-1] == "arc_easy") for about, rows in answers.groupby(columns)}
    found = pd.Series(each).groupby(level=[0, 1]).sum() / answers.groupby(["method", "calibration"])["seed"].nunique()
    kept = found / found["dense", ""]
    rows = table[(table["target"] == "reasoning") & (table["measure"] == SKILL)]
    assert len(rows) == 4
    assert np.isfinite(rows["difference"]).all()
    for row in rows.itertuples():
        assert row.guided == pytest.approx(kept[row.method, f"{row.calibration} keeping {row.protected}"], abs=2e-3)
        assert row.unguided == pytest.approx(kept[row.method, row.calibration], abs=2e-3)


@pytest.mark.parametrize("folder", [run for run in RUNS if run not in REASONING], ids=lambda path: path.name)
def test_skill_kept_is_that_of_auroc_by_another_library(folder):
    answers, table, compared = pd.read_parquet(folder / "predictions.parquet"), guided_table(load_run(folder)), 0
    answers["amount"] = [(pattern, round(share, 4)) for pattern, share in answers[["pattern", "sparsity"]].to_numpy()]
    for family, datasets in FAMILIES.items():
        own = answers[answers["dataset"].isin(datasets)]
        skills = {
            about: rows.groupby("dataset").mean().sum()
            for about, rows in own.groupby(["method", "amount", "calibration", "seed", "dataset"])
            .apply(skill, include_groups=False)
            .groupby(["method", "amount", "calibration"])
        }
        (dense,) = [value for (method, *_), value in skills.items() if method == "dense"] or [np.nan]
        for row in table[(table["target"] == family) & (table["measure"] == SKILL)].itertuples():
            guided, amount = f"{row.calibration} keeping {row.protected}", (row.pattern, round(row.sparsity, 4))
            for calibration, kept in ((row.calibration, row.unguided), (guided, row.guided)):
                about = row.method, amount, calibration
                assert kept == pytest.approx(skills[about] / dense, abs=2e-3), about
                compared += 1
    assert compared
    assert np.isfinite(table.loc[table["measure"] == SKILL, "difference"]).all()
