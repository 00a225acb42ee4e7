"""What is known of a pruned model before it is asked anything: candidates for predicting its drops."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from semprune.analysis.drops import Drops
from semprune.artefacts import CELL, DRAW, Answers, stated_once

PRUNING = ("sparsity", "log_perplexity_ratio", "mass_lost")
CALIBRATION = ("minilm_cosine", "concept_divergence", "input_norm_correlation", "bigram_coverage",
               "minilm_dispersion", "vocabulary_coverage", "distinct_2", "activation_coverage")  # fmt: skip
MEANING = ("sl", "xsl", "wsl")

Tables = Mapping[str, pd.DataFrame]


def predictor_table(drops: Drops, tables: Tables, answers: Answers) -> pd.DataFrame:
    """One row per pruned model and data set: its drop and everything that could have predicted it.

    Args:
        drops: Of a study.
        tables: Tables of its run by name: ``results``, and as far as the run has them ``sparsity``,
            ``semantic_loss``, ``task_concepts`` and ``calibration``.
        answers: Its answers per item.

    Returns:
        The columns of :data:`semprune.artefacts.cell.CELL`, dataset, family, drop, error (its standard error),
        headroom (the dense score above guessing) and the predictors that the run has tables for: :data:`PRUNING`,
        :data:`CALIBRATION` (NaN for models that looked at none) and :data:`MEANING`, the semantic losses of the data
        set's own concepts.
    """
    table = pd.DataFrame([row for place in range(len(drops.cells)) for row in _drop_rows(drops, place)])
    table["headroom"] = table["dataset"].map(_headroom(drops, tables["results"], answers)).clip(lower=0)
    parts = {"sparsity": _mass, "semantic_loss": _losses, "calibration": _likeness}
    table = _joined(table, _perplexity_ratio(tables["results"]))
    for name, part in parts.items():
        if name in tables:
            table = _joined(table, part(tables))
    return table


def _joined(table: pd.DataFrame, more: pd.DataFrame) -> pd.DataFrame:
    keys = [column for column in (*CELL, "dataset") if column in more]
    return table.merge(more, how="left", on=keys, validate="many_to_one") if keys else table


def _drop_rows(drops: Drops, place: int) -> list[dict[str, Any]]:
    weights = np.zeros(len(drops.cells))
    weights[place] = 1
    cell = {str(name): value for name, value in drops.cells.iloc[place].items()}
    rows = []
    for one in drops.datasets:
        drop = one.estimate(weights)
        rows.append(cell | {"dataset": one.name, "family": one.family, "drop": drop.value, "error": drop.error})
    return rows


def _headroom(drops: Drops, results: pd.DataFrame, answers: Answers) -> dict[str, float]:
    """Dense score above guessing: the most frequent answer, at least one of the choices; AUROC one half."""
    dense = results[(results["method"] == "dense") & (results["metric"] == drops.metric)]
    scores = dense.groupby("dataset")["value"].mean()
    if drops.metric == "auroc":
        return dict(scores - 0.5)
    guessed = {
        one.name: max(np.unique(one.label, return_counts=True)[1].max() / len(one.label), 1 / one.choices)
        for one in answers.datasets
        if one.choices
    }
    return dict(scores - pd.Series(guessed))


def _perplexity_ratio(results: pd.DataFrame) -> pd.DataFrame:
    rows = stated_once(results[(results["metric"] == "perplexity") & (results["method"] != "dense")])
    rows["log_perplexity_ratio"] = np.log(rows["value"] / rows["dense"])
    return rows.groupby(CELL)["log_perplexity_ratio"].mean().reset_index()


def _mass(tables: Tables) -> pd.DataFrame:
    table = stated_once(tables["sparsity"])
    if "mass_lost" not in table:
        return pd.DataFrame()
    return table.groupby(CELL)["mass_lost"].mean().reset_index()


def _losses(tables: Tables) -> pd.DataFrame:
    """Mean of each semantic loss over a data set's own concepts, weighted as ``task_concepts`` says."""
    if "task_concepts" not in tables:
        return pd.DataFrame()
    loss = stated_once(tables["semantic_loss"])
    names = [name for name in MEANING if name in loss]
    both = loss[loss["layer"] == -1].merge(tables["task_concepts"], on=["concept", "level"])
    means = {
        name: both.assign(part=both[name] * both["weight"], whole=both["weight"].where(both[name].notna(), 0.0))
        .groupby([*CELL, "dataset"])[["part", "whole"]].sum().pipe(lambda sums: sums["part"] / sums["whole"])
        for name in names
    }  # fmt: skip
    return pd.DataFrame(means).reset_index()


def _likeness(tables: Tables) -> pd.DataFrame:
    """Each draw's diversity, and its likeness to each data set, as columns; models without calibration have none."""
    table = tables["calibration"]
    wide = table.pivot_table(index=[*DRAW, "dataset"], columns="measure", values="value").reset_index()
    diversity = wide[wide["dataset"] == ""].drop(columns="dataset").dropna(axis=1, how="all")
    likeness = wide[wide["dataset"] != ""].dropna(axis=1, how="all")
    return likeness.merge(diversity, on=list(DRAW)).rename_axis(columns=None)
