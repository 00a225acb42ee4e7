"""Metrics of choice scores: pure, label by label defined, and computed for all bootstrap resamples at once.

``METRICS`` is the registry: what a data set's YAML may name.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from semprune.errors import MetricUndefinedError, UnknownMetricError
from semprune.evaluation.metrics.accuracy import accuracy, chosen
from semprune.evaluation.metrics.calibration import calibrated_accuracy, expected_calibration_error
from semprune.evaluation.metrics.confusion import f1, macro_f1
from semprune.evaluation.metrics.correlation import spearman
from semprune.statistics.auroc import auroc, auroc_values
from semprune.statistics.weighting import Array


class ChoiceScores(NamedTuple):
    """Scored items of one data set and prompt.

    Attributes:
        scores: Summed log-probabilities ``[items, choices]``; -inf where an item has fewer choices.
        labels: Right choices ``[items]``.
        lengths: Characters of each choice ``[items, choices]``; 1 where absent.
        grades: What people said of each item ``[items]``, on any scale; NaN or None where the data set has no grades.
    """

    scores: Array
    labels: Array
    lengths: Array
    grades: Array | None = None


@dataclass(frozen=True, slots=True)
class Metric:
    """A registered metric.

    Attributes:
        function: ``(scores, labels, weights) -> values``.
        fixed_labels: Needs the same choices for every item.
        per_character: Scores are divided by the choices' characters first.
        counts_items: A mean of right or wrong per item, for which McNemar's test is exact.
        graded: Compares with the items' grades instead of their labels.
        item_values: ``(scores, labels) -> values``, one per item, whose mean is the metric; None where there are none.
    """

    function: Callable[..., Array]
    fixed_labels: bool = False
    per_character: bool = False
    counts_items: bool = False
    graded: bool = False
    item_values: Callable[..., Array] | None = None


METRICS: dict[str, Metric] = {
    "accuracy": Metric(accuracy, counts_items=True),
    "acc_norm": Metric(accuracy, per_character=True, counts_items=True),
    "calibrated_accuracy": Metric(calibrated_accuracy, fixed_labels=True),
    "auroc": Metric(auroc, fixed_labels=True, item_values=auroc_values),
    "f1": Metric(f1, fixed_labels=True),
    "macro_f1": Metric(macro_f1, fixed_labels=True),
    "spearman": Metric(spearman, fixed_labels=True, graded=True),
    "expected_calibration_error": Metric(expected_calibration_error),
}


def metric(name: str) -> Metric:
    """Return a registered metric.

    Args:
        name: A key of :data:`METRICS`.

    Raises:
        UnknownMetricError: If there is none of that name.
    """
    if name not in METRICS:
        raise UnknownMetricError(name, METRICS)
    return METRICS[name]


def _scores(name: str, items: ChoiceScores) -> Float[np.ndarray, "items choices"]:
    """Scores as the metric wants them, checked."""
    chosen_metric = metric(name)
    if chosen_metric.fixed_labels and not np.isfinite(items.scores).all():
        raise MetricUndefinedError(name, "items have different numbers of choices, or a score is not finite")
    return items.scores / items.lengths if chosen_metric.per_character else items.scores


def _right(name: str, items: ChoiceScores) -> Array:
    """What the metric compares with: labels, or grades."""
    if not metric(name).graded:
        return items.labels
    if items.grades is None or not np.isfinite(items.grades).all():
        raise MetricUndefinedError(name, "the items carry no grades; it needs a `threshold` label rule")
    return items.grades


def measure(
    name: str, items: ChoiceScores, weights: Float[np.ndarray, "*resamples items"] | None = None
) -> Float[np.ndarray, "*resamples"]:
    """Value of a registered metric.

    Args:
        name: A key of :data:`METRICS`.
        items: Scored items of one data set and prompt.
        weights: Multiplicities of bootstrap resamples; None counts each item once.

    Returns:
        One value per resample.

    Raises:
        UnknownMetricError: If there is none of that name.
        MetricUndefinedError: If the metric needs a fixed label set and the items have none.

    Example:
        >>> items = ChoiceScores(np.array([[-4.0, -6.0]]), np.array([1]), np.array([[2, 6]]))
        >>> float(measure("acc_norm", items)), float(measure("accuracy", items))
        (1.0, 0.0)
    """
    values: Array = metric(name).function(_scores(name, items), _right(name, items), weights)
    return values


def item_values(name: str, items: ChoiceScores) -> Float[np.ndarray, " items"]:
    """One value per item whose mean is the metric, with the variance of the metric.

    Args:
        name: A metric that has them: :attr:`Metric.item_values`.
        items: Scored items of one data set and prompt.

    Raises:
        UnknownMetricError: If there is no metric of that name.
        MetricUndefinedError: If it is no mean over items, or needs a fixed label set and the items have none.

    Example:
        >>> items = ChoiceScores(np.array([[-1.0, -9.0], [-1.0, -5.0]]), np.array([0, 1]), np.ones((2, 2)))
        >>> item_values("auroc", items).tolist()
        [1.0, 1.0]
    """
    function = metric(name).item_values
    if function is None:
        raise MetricUndefinedError(name, "it is not a mean over items")
    values: Array = function(_scores(name, items), _right(name, items))
    return values


def right_choices(name: str, items: ChoiceScores) -> Bool[np.ndarray, " items"]:
    """Which items are right, for a metric that counts them.

    Args:
        name: ``accuracy`` or ``acc_norm``.
        items: Scored items of one data set and prompt.

    Returns:
        True where the best choice is the label.
    """
    best: Int[np.ndarray, " items"] = chosen(_scores(name, items))
    right: Array = best == items.labels
    return right
