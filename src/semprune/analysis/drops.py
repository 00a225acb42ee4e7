"""Paired drops of every item under every pruned model of a study, and estimates from them.

A drop is the dense model's value minus the pruned one's on the same item, so that its mean over a data set's items is
the drop of the metric. Any comparison of pruned models is a weighted sum of them per item: what is common to the
items cancels, and standard errors come from the items themselves.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int

from semprune.artefacts import NO_ANSWER, Answers, DatasetAnswers
from semprune.errors import MetricUndefinedError, SettingError, UnpairedPredictionsError
from semprune.statistics.auroc import auroc_values
from semprune.statistics.estimate import Estimate, effective_freedom

DROP_METRICS = ("accuracy", "auroc")
EVERYTHING = "all"
"""The target that stands for all families."""

POINTS = "points"
"""What drops are of where families have metrics of their own."""

Weights = Float[np.ndarray, " cells"]


@dataclass(frozen=True)
class DatasetDrops:
    """One data set's items.

    Attributes:
        name: The data set.
        family: Its task family.
        drops: Each item's drop under each pruned model.
        document: Number of each item's document; items of one are not independent.
        asked: How often each item was asked, in one wording each; the items of all stand side by side in ``drops``.
    """

    name: str
    family: str
    drops: Float[np.ndarray, "cells items"]
    document: Int[np.ndarray, " items"]
    asked: int = 1

    def estimate(self, weights: Weights) -> Estimate:
        """Weighted sum of the models' mean drops; the error is clustered by document."""
        each = weights @ self.drops
        residual = np.bincount(self.document, each - each.mean())
        clusters = len(residual)
        correction = clusters / (clusters - 1) if clusters > 1 else float("nan")
        return Estimate(
            float(each.mean()), float(np.sqrt(correction * np.square(residual).sum()) / len(each)), clusters - 1
        )


@dataclass(frozen=True)
class Drops:
    """All pruned models of a study on all its items.

    Attributes:
        cells: The pruned models, one row each, with the columns of :data:`semprune.artefacts.cell.CELL`.
        datasets: Their items.
        metric: What the drops are of; :data:`POINTS` where families have metrics of their own.
    """

    cells: pd.DataFrame
    datasets: tuple[DatasetDrops, ...]
    metric: str

    @cached_property
    def families(self) -> list[str]:
        """Families, in the data sets' order."""
        return list(dict.fromkeys(one.family for one in self.datasets))

    def items(self, target: str) -> int:
        """Number of a target's items; one that is asked in several wordings is one."""
        return sum(round(one.drops.shape[1] / one.asked) for one in self.of(target))

    def of(self, target: str) -> list[DatasetDrops]:
        """Data sets of a target: a family, one data set, or all.

        Raises:
            SettingError: There is no such target in the study.
        """
        found = [one for one in self.datasets if target in (EVERYTHING, one.family, one.name)]
        if not found:
            known = [EVERYTHING, *self.families, *(one.name for one in self.datasets)]
            raise SettingError("target", target, f"one of {', '.join(dict.fromkeys(known))} with {self.metric}")
        return found

    def estimate(self, weights: Weights, target: str) -> Estimate:
        """Weighted sum of the models' drops, mean over the target's data sets."""
        each = [one.estimate(weights) for one in self.of(target)]
        variances = np.square([one.error for one in each])
        error, freedom = (
            np.sqrt(variances.sum()) / len(each),
            effective_freedom(variances, [one.freedom for one in each]),
        )
        return Estimate(float(np.mean([one.value for one in each])), float(error), freedom)

    def mean_drops(self, target: str) -> Float[np.ndarray, " cells"]:
        """Each model's drop, mean over the target's data sets."""
        means: Weights = np.mean([one.drops.mean(axis=1) for one in self.of(target)], axis=0)
        return means

    def only(self, chosen: Collection[bool] | pd.Series) -> Drops:
        """The same of some of the models."""
        chosen = np.asarray(chosen, dtype=bool)
        if chosen.all():  # without a copy of all items
            return self
        datasets = tuple(replace(one, drops=one.drops[chosen]) for one in self.datasets)
        return Drops(self.cells[chosen].reset_index(drop=True), datasets, self.metric)


def read_drops(answers: Answers, results: pd.DataFrame, metric: str | Mapping[str, str]) -> Drops:
    """Pair every pruned model's answers with the dense model's.

    Args:
        answers: ``predictions.parquet`` of a study, of :func:`semprune.artefacts.read_answers`.
        results: ``results.parquet``: which data set is of which family and has which metrics.
        metric: ``accuracy`` or ``auroc``; or that of each family, where the others are left out.

    Returns:
        Drops of the data sets that have the metric. A model that looked at no calibration is there once, however often
        the tables state it.

    Raises:
        SettingError: A metric is neither, or the run has several backbones.
        UnpairedPredictionsError: A model was measured on other items than the dense one.
        MetricUndefinedError: The AUROC of items with different numbers of choices.
    """
    of = dict.fromkeys(results["family"], metric) if isinstance(metric, str) else metric
    for name in of.values():
        if name not in DROP_METRICS:
            raise SettingError("metric", name, f"one of {', '.join(DROP_METRICS)}")
    if answers.models["backbone"].nunique() > 1:
        raise SettingError("backbones", answers.models["backbone"].nunique(), "1: drops of several are not compared")
    own_rows = results[results["metric"] == results["family"].map(of)]
    families = dict(own_rows[["dataset", "family"]].drop_duplicates().to_numpy().tolist())
    own = [one for one in answers.datasets if one.name in families]
    answered = np.any([(one.right != NO_ANSWER).any(axis=1) for one in own], axis=0)  # any of these data sets
    is_dense = (answers.models["method"] == "dense").to_numpy()
    pruned, dense = np.flatnonzero(~is_dense & answered), np.flatnonzero(is_dense)
    datasets = []
    for one in own:
        whole, left, document = paired_values(one, dense, pruned, of[families[one.name]])
        datasets.append(DatasetDrops(one.name, families[one.name], whole - left, document, wordings(one)))
    names = set(of.values())
    return Drops(
        answers.models.iloc[pruned].reset_index(drop=True), tuple(datasets), names.pop() if len(names) == 1 else POINTS
    )


def wordings(one: DatasetAnswers) -> int:
    """In how many wordings a data set's items were asked."""
    return len(set(one.prompts))


def paired_values(
    one: DatasetAnswers, dense: Int[np.ndarray, " models"], pruned: Int[np.ndarray, " models"], metric: str
) -> tuple[Float[np.ndarray, "dense items"], Float[np.ndarray, "cells items"], Int[np.ndarray, " items"]]:
    """Values of the dense and the pruned models on the dense model's items, and the items' documents.

    Args:
        one: The data set.
        dense: Places of the dense model.
        pruned: Places of the pruned models.
        metric: ``accuracy``, ``acc_norm`` or ``auroc``.

    Raises:
        UnpairedPredictionsError: A model was measured on other items than the dense one.
        MetricUndefinedError: The AUROC of items with different numbers of choices, or ``acc_norm`` of unknown lengths.
    """
    asked = asked_items(one, dense, pruned)
    values = {"accuracy": _right, "acc_norm": _normalised, "auroc": _areas}[metric]
    whole, left = (values(one, models, asked) for models in (dense, pruned))
    return whole, left, pd.factorize(one.document[asked])[0]


def asked_items(
    one: DatasetAnswers, dense: Int[np.ndarray, " models"], pruned: Int[np.ndarray, " models"]
) -> Bool[np.ndarray, " items"]:
    """Which items the dense model answered; the pruned ones answered the same.

    Raises:
        UnpairedPredictionsError: A model was measured on other items than the dense one.
    """
    answered = one.right != NO_ANSWER
    asked: Bool[np.ndarray, " items"] = answered[dense].any(axis=0)
    each = answered[pruned]
    for cell in np.flatnonzero((each != asked).any(axis=1)):
        raise UnpairedPredictionsError(one.name, int((asked & ~each[cell]).sum()), int((each[cell] & ~asked).sum()))
    return asked


def _right(
    one: DatasetAnswers, models: Int[np.ndarray, " models"], asked: Bool[np.ndarray, " items"]
) -> Float[np.ndarray, "models asked"]:
    right: Float[np.ndarray, "models asked"] = one.right[models][:, asked].astype(np.float64)
    return right


def _normalised(
    one: DatasetAnswers, models: Int[np.ndarray, " models"], asked: Bool[np.ndarray, " items"]
) -> Float[np.ndarray, "models asked"]:
    right: Float[np.ndarray, "models asked"] = one.normalised[models][:, asked].astype(np.float64)
    if (right == NO_ANSWER).any():
        raise MetricUndefinedError("acc_norm", f"the predictions of '{one.name}' do not say how long the choices are")
    return right


def _areas(
    one: DatasetAnswers, models: Int[np.ndarray, " models"], asked: Bool[np.ndarray, " items"]
) -> Float[np.ndarray, "models asked"]:
    scores, label, prompts = one.scores[models][:, asked], one.label[asked], np.array(one.prompts)[asked]
    if np.isnan(scores).any():
        raise MetricUndefinedError("auroc", f"items of '{one.name}' have different numbers of choices")
    values = np.empty(scores.shape[:-1])
    for prompt in dict.fromkeys(prompts):
        own = prompts == prompt
        values[:, own] = auroc_values(scores[:, own], label[own])
    return values
