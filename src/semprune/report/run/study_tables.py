"""What a study's calibration sets say together: the analysis of a run, computed once for its page and its tables."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from semprune.analysis import (
    Drops,
    calibration_ranking,
    calibration_spread,
    prediction_table,
    predictor_table,
    read_drops,
    spearman_table,
    task_likeness_effect,
    variance_shares,
)
from semprune.analysis.calibration import calibrated_only
from semprune.analysis.drops import DROP_METRICS, EVERYTHING
from semprune.artefacts import CELL, Answers, is_guided, stated_once
from semprune.report.run.labels import family_rank

SIZES = ("calibration_sequences", "calibration_length")


def balanced(drops: Drops, over: Sequence[str]) -> Drops:
    """The models that were measured with every value of some columns, so that these are compared on common ground.

    Args:
        drops: Of calibrated models.
        over: Columns to compare.
    """
    values = drops.cells[list(over)].drop_duplicates()
    keys = [column for column in CELL if column not in over]
    counts = drops.cells.groupby(keys)[over[0]].transform("size")
    return drops.only(counts == len(values))


def size_table(drops: Drops) -> pd.DataFrame:
    """Mean drop by the number and the length of calibration sequences, for each family and for all.

    Returns:
        Columns target, metric, calibration_sequences, calibration_length, drop, low, high, models; empty where the
        study has one size.
    """
    own = balanced(drops, SIZES)
    found = own.cells[list(SIZES)].drop_duplicates().sort_values(list(SIZES))
    rows = []
    for target in [*own.families, EVERYTHING] if len(found) > 1 else []:
        for sequences, length in found.to_numpy().tolist():
            chosen = (own.cells[SIZES[0]] == sequences) & (own.cells[SIZES[1]] == length)
            mean = own.estimate((chosen / chosen.sum()).to_numpy(), target)
            row = {"target": target, "metric": drops.metric, SIZES[0]: sequences, SIZES[1]: length}
            row |= {"drop": mean.value, "low": mean.interval[0], "high": mean.interval[1]}
            rows.append(row | {"models": int(chosen.sum())})
    return pd.DataFrame(rows, columns=["target", "metric", *SIZES, "drop", "low", "high", "models"])


Frames = Mapping[str, pd.DataFrame]


@dataclass(frozen=True)
class StudyTables:
    """Tables over a study's grid, in stored units; the first six as :mod:`semprune.analysis` makes them.

    Attributes:
        ranking: Calibration sets per target and metric, best first.
        spread: How much the calibration set matters.
        shares: Which choice explains how much of the spread.
        own_prompts: Whether a family's own prompts help it.
        predictors: Rank correlation of each predictor with the drop, with a column metric.
        prediction: Out-of-sample R² of each model, with a column metric.
        sizes: Mean drop by calibration size; empty where there is one size.
        drops: Drops by metric, of the models that are compared.
        models: Drop and predictors of every pruned model and data set, by metric.
        measured: Calibrated models that were measured.
        compared: Those of them whose method, sparsity, size and seed were measured with every calibration set.
    """

    ranking: pd.DataFrame
    spread: pd.DataFrame
    shares: pd.DataFrame
    own_prompts: pd.DataFrame
    predictors: pd.DataFrame
    prediction: pd.DataFrame
    sizes: pd.DataFrame
    drops: dict[str, Drops]
    models: dict[str, pd.DataFrame]
    measured: int
    compared: int

    def targets(self, metric: str) -> list[str]:
        """Families with the metric, and all of them together."""
        return list(dict.fromkeys(self.spread.loc[self.spread["metric"] == metric, "target"]))


def study_tables(frames: Frames, answers: Answers | None) -> StudyTables | None:
    """Analyse a run's tables.

    Args:
        frames: The run's tables by name, as far as it has them.
        answers: Its answers per item; None where it has none.

    Returns:
        The tables, of the data sets with predictions; None for a run without any, with fewer than two calibration sets
        on common ground, or with several backbones.

    Raises:
        UnpairedPredictionsError: A model was measured on other items than the dense one.
    """
    results = frames.get("results")
    if results is None or answers is None or results["backbone"].nunique() > 1:
        return None
    if not _has_choice(results):
        return None
    with warnings.catch_warnings():
        # What never varies has no correlation and no F: NaN, shown as n/a.
        warnings.simplefilter("ignore", RuntimeWarning)
        return _analysed(frames, results, answers)


def _has_choice(results: pd.DataFrame) -> bool:
    once = stated_once(results[results["method"] != "dense"])
    alone = once["calibrated"] & ~is_guided(once["calibration"])
    return int(once.loc[alone, "calibration"].nunique()) > 1


def _unguided(drops: Drops) -> Drops:
    """The models that protect nothing: what is kept beside a calibration set makes no other set of it."""
    return drops.only(~is_guided(drops.cells["calibration"]))


def _analysed(frames: Frames, results: pd.DataFrame, answers: Answers) -> StudyTables | None:
    results = results[
        results["dataset"].isin([one.name for one in answers.datasets]) | (results["metric"] == "perplexity")
    ]
    results = results[results["dense"].notna()]  # items of a single label have no AUROC
    metrics = [metric for metric in DROP_METRICS if metric in set(results["metric"])]
    every = {metric: _in_usual_order(read_drops(answers, results, metric)) for metric in metrics}
    calibrated = {metric: _unguided(calibrated_only(drops)) for metric, drops in every.items()}
    drops = {metric: balanced(own, ["calibration"]) for metric, own in calibrated.items()}
    drops = {metric: own for metric, own in drops.items() if own.cells["calibration"].nunique() > 1}
    if not drops:
        return None
    models = {metric: predictor_table(every[metric], _usable(frames), answers) for metric in drops}
    targets = {metric: [*own.families, EVERYTHING] for metric, own in drops.items()}
    rankings = [calibration_ranking(drops[metric], target) for metric in drops for target in targets[metric]]
    first = next(iter(drops))
    return StudyTables(
        ranking=pd.concat(rankings, ignore_index=True),
        spread=_joined([calibration_spread(own) for own in drops.values()]),
        shares=_joined([variance_shares(own) for own in drops.values()]),
        own_prompts=_joined([task_likeness_effect(own) for own in drops.values()]),
        predictors=_joined([spearman_table(table).assign(metric=metric) for metric, table in models.items()]),
        prediction=_joined([prediction_table(table).assign(metric=metric) for metric, table in models.items()]),
        sizes=_joined([size_table(calibrated[metric]) for metric in drops]),
        drops=drops,
        models=models,
        measured=len(calibrated[first].cells),
        compared=len(drops[first].cells),
    )


def _in_usual_order(drops: Drops) -> Drops:
    datasets = sorted(drops.datasets, key=lambda one: family_rank(one.family))
    return Drops(drops.cells, tuple(datasets), drops.metric)


def _usable(frames: Frames) -> Frames:
    """Without a sparsity table that older runs wrote: it neither names the backbone nor weighs what was removed."""
    old = "sparsity" in frames and not {"backbone", "mass_lost"} <= set(frames["sparsity"].columns)
    return {name: table for name, table in frames.items() if not (old and name == "sparsity")}


def _joined(tables: list[pd.DataFrame]) -> pd.DataFrame:
    """One table below the other; empty ones have no say in the types of columns."""
    full = [table for table in tables if len(table)]
    return pd.concat(full, ignore_index=True) if full else tables[0]
