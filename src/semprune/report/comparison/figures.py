"""A figure of two models, and how it is made of each one's own where they share no items."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import pandas as pd

from semprune.report.run.metrics import MEASURES, METRICS, Metric
from semprune.statistics.intervals import Bounded, difference_with_interval, mean_with_interval


class Row(NamedTuple):
    """One figure of two models.

    Attributes:
        pair: Label of the models.
        kind: ``skill``, ``points`` or ``fidelity``.
        family: Task family.
        dataset: Empty for a family's own figure.
        measure: Name of the metric or measure.
        n: Items or sequences that the difference is paired by; 0 where it is not paired.
        first: Of the first model, with its interval (NaN ends where it has none).
        second: Of the second.
        difference: Second minus first, with its 95 % interval.
    """

    pair: str
    kind: str
    family: str
    dataset: str
    measure: str
    n: int
    first: Bounded
    second: Bounded
    difference: Bounded

    @property
    def metric(self) -> Metric:
        """How its numbers are shown."""
        return (MEASURES if self.kind == "fidelity" else METRICS)[self.measure]

    @property
    def verdict(self) -> str:
        """``better`` or ``worse``: whether the interval of the difference leaves out 0, for the second model."""
        _, low, high = self.difference
        if math.isnan(low) or low <= 0 <= high:
            return "unclear"
        return "better" if (low > 0) == self.metric.higher_is_better else "worse"


def unpaired(pair: str, kind: str, family: str, dataset: str, measure: str, ends: Sequence[Bounded]) -> Row:
    """A figure of two models that share no items: its interval is of each one's own."""
    difference = difference_with_interval(ends[1], ends[0])
    return Row(pair, kind, family, dataset, measure, 0, ends[0], ends[1], difference)


def over_wordings(rows: pd.DataFrame, value: str) -> Bounded:
    """A data set's figure over its wordings."""
    return mean_with_interval(*(rows[name].tolist() for name in (value, "low", "high")))


def alone(value: float) -> Bounded:
    """A figure that needs no interval beside that of the difference."""
    return value, float("nan"), float("nan")
