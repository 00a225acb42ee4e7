"""What is known of a pruned model before it is asked anything: candidates for predicting its drops."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from semprune.analysis.drops import Drops, paired_values, read_drops
from semprune.artefacts import CELL, DRAW, Answers, DatasetAnswers, stated_once

PRUNING = ("sparsity", "log_perplexity_ratio", "mass_lost")
CALIBRATION = ("minilm_cosine", "concept_divergence", "input_norm_correlation", "bigram_coverage",
               "minilm_dispersion", "vocabulary_coverage", "distinct_2", "activation_coverage")  # fmt: skip
MEANING = ("sl", "xsl", "wsl")

Tables = Mapping[str, pd.DataFrame]


def predictor_table(drops: Drops, tables: Tables, answers: Answers) -> pd.DataFrame:
    """Two rows per pruned model and data set: its drop and everything that could have predicted it.

    The dense score is part of a drop and of what there is to lose: measured on the same items, its luck would predict
    itself. So each row has the drop of one half of the documents and the headroom of the other.

    Args:
        drops: Of a study: what the drops are of, and the order of the data sets.
        tables: Tables of its run by name: ``results``, and as far as the run has them ``sparsity``,
            ``semantic_loss``, ``task_concepts`` and ``calibration``.
        answers: Its answers per item.

    Returns:
        The columns of :data:`semprune.artefacts.cell.CELL`, dataset, family, half, drop, error (its standard error),
        headroom (the dense score above guessing on the other half; a data set with less than a document of each label
        in a half is left out) and the predictors that the run has tables for: :data:`PRUNING`,
        :data:`CALIBRATION` (NaN for models that looked at none) and :data:`MEANING`, the semantic losses of the data
        set's own concepts.
    """
    table = _crossed(drops, tables["results"], answers)
    parts = {"sparsity": _mass, "semantic_loss": _losses, "calibration": _likeness}
    table = _joined(table, _perplexity_ratio(tables["results"]))
    for name, part in parts.items():
        if name in tables:
            table = _joined(table, part(tables))
    return table


def _joined(table: pd.DataFrame, more: pd.DataFrame) -> pd.DataFrame:
    keys = [column for column in (*CELL, "dataset") if column in more]
    return table.merge(more, how="left", on=keys, validate="many_to_one") if keys else table


def _crossed(drops: Drops, results: pd.DataFrame, answers: Answers) -> pd.DataFrame:
    """Drops of each half of the documents beside the headroom of the other."""
    names = [one.name for one in drops.datasets]
    halves = [[half_of(one, half) for one in answers.datasets if one.name in names] for half in (0, 1)]
    least = 2 if drops.metric == "auroc" else 1  # labels in each half
    full = [min(len(np.unique(one.label)) for one in pair) >= least for pair in zip(*halves, strict=True)]
    kept = [[one for one, whole in zip(own, full, strict=True) if whole] for own in halves]
    rows = []
    for half, own in enumerate(kept):
        found = read_drops(Answers(answers.models, tuple(own)), results, drops.metric)
        headroom = {one.name: _headroom(one, answers, drops.metric) for one in kept[1 - half]}
        order = sorted(found.datasets, key=lambda one: names.index(one.name))
        found = Drops(found.cells, tuple(order), drops.metric)
        more = {name: {"half": half, "headroom": max(0.0, value)} for name, value in headroom.items()}
        rows += [row | more[row["dataset"]] for place in range(len(found.cells)) for row in _drop_rows(found, place)]
    return pd.DataFrame(rows, columns=[*CELL, "dataset", "family", "drop", "error", "half", "headroom"])


def half_of(one: DatasetAnswers, half: int) -> DatasetAnswers:
    """A data set's answers to the items of every other document.

    Args:
        one: The data set.
        half: 0 or 1.
    """
    own = one.document % 2 == half
    prompts, items = (np.array(texts)[own].tolist() for texts in (one.prompts, one.items))
    arrays = {name: getattr(one, name)[..., own] for name in ("document", "label", "right", "normalised")}
    return replace(one, prompts=prompts, items=items, **arrays, scores=one.scores[:, own])


def _drop_rows(drops: Drops, place: int) -> list[dict[str, Any]]:
    weights = np.zeros(len(drops.cells))
    weights[place] = 1
    cell = {str(name): value for name, value in drops.cells.iloc[place].items()}
    rows = []
    for one in drops.datasets:
        drop = one.estimate(weights)
        rows.append(cell | {"dataset": one.name, "family": one.family, "drop": drop.value, "error": drop.error})
    return rows


def _headroom(one: DatasetAnswers, answers: Answers, metric: str) -> float:
    """Dense score above guessing: the most frequent answer, at least one of the choices; AUROC one half."""
    dense = np.flatnonzero(answers.models["method"] == "dense")
    values, _, _ = paired_values(one, dense, dense, metric)
    if metric == "auroc":
        return float(values.mean()) - 0.5
    return float(values.mean()) - max(float(np.bincount(one.label).max()) / len(one.label), 1 / one.choices)


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
