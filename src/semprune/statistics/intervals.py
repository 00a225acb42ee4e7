"""Intervals of means over documents, of combined estimates and over blocks of documents."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float
from scipy import special

Bounded = tuple[float, float, float]
"""A value with the lower and upper end of its interval."""


class Interval(NamedTuple):
    """A two-sided interval."""

    low: float
    high: float


def clustered_error(values: Float[np.ndarray, " items"], documents: Sequence[str]) -> tuple[float, int]:
    r"""Standard error of a mean over items of which those of one document go together.

    .. math:: \frac{1}{N}\sqrt{\frac{D}{D - 1} \sum_d \Big(\sum_{i \in d} (v_i - \bar v)\Big)^2}

    Source: Liang and Zeger (1986), the sandwich estimate of a mean.

    Args:
        values: A value of each item.
        documents: Document of each item.

    Returns:
        The error, NaN of a single document; and the degrees of freedom of its t quantile, D − 1.

    Example:
        >>> clustered_error(np.array([0.0, 0.0, 1.0, 1.0]), ["a", "a", "b", "b"])
        (0.5, 1)
    """
    sums = clustered_sums(values, documents)
    clusters = len(sums)
    if clusters < 2:
        return float("nan"), 0
    return float(np.sqrt(clusters / (clusters - 1) * np.square(sums).sum()) / len(values)), clusters - 1


def clustered_sums(values: Float[np.ndarray, " items"], documents: Sequence[str]) -> Float[np.ndarray, " documents"]:
    """Sum of each document's deviations from the mean over items.

    Example:
        >>> clustered_sums(np.array([0.0, 0.0, 1.0, 1.0]), ["a", "a", "b", "b"]).tolist()
        [-1.0, 1.0]
    """
    _, document = np.unique(np.asarray(documents, dtype=str), return_inverse=True)
    sums: np.ndarray[Any, Any] = np.bincount(document, values - values.mean())
    return sums


def mean_test(values: Float[np.ndarray, " items"], documents: Sequence[str]) -> tuple[Interval, float]:
    """95 % interval and two-sided p of a mean over items, by Student's t with documents − 1 degrees of freedom.

    Of paired differences of :func:`~semprune.statistics.auroc.auroc_values` it is DeLong's test.

    Args:
        values: A value of each item, for example a paired difference.
        documents: Document of each item.

    Returns:
        The interval, and p of a mean of 0: 1 where every value is 0, NaN with a single document.

    Example:
        >>> interval, p = mean_test(np.array([0.0, 1.0, 2.0, 3.0]), ["a", "b", "c", "d"])
        >>> round(interval.low, 3), round(interval.high, 3), round(p, 3)
        (-0.554, 3.554, 0.103)
    """
    error, freedom = clustered_error(values, documents)
    mean = float(values.mean())
    if error == 0:
        return Interval(mean, mean), 1.0 if mean == 0 else 0.0
    if not freedom:
        return Interval(float("nan"), float("nan")), float("nan")
    margin = float(special.stdtrit(freedom, 0.975)) * error
    return Interval(mean - margin, mean + margin), float(2 * special.stdtr(freedom, -abs(mean) / error))


def mean_with_interval(values: Sequence[float], lows: Sequence[float], highs: Sequence[float]) -> Bounded:
    r"""Mean of independent estimates, with an interval recovered from each estimate's own interval.

    .. math:: \bar d - \frac1k\sqrt{\sum_i (d_i - l_i)^2},\quad \bar d + \frac1k\sqrt{\sum_i (u_i - d_i)^2}

    It keeps asymmetric intervals asymmetric and equals the usual ``mean ± 1.96 SE`` where they are symmetric. It
    speaks about exactly these data sets, not about others of their kind.

    Source: Zou and Donner (2008), "Construction of confidence limits about effect measures" (MOVER).

    Args:
        values: Estimates, one per data set.
        lows: Lower ends of their 95 % intervals.
        highs: Upper ends of their 95 % intervals.

    Returns:
        Mean, lower and upper end; NaN ends where an interval is missing.

    Example:
        >>> mean_with_interval([10.0, 6.0], [7.0, 2.0], [13.0, 10.0])
        (8.0, 5.5, 10.5)
    """
    centre = float(np.mean(values))
    below = math.sqrt(sum((value - low) ** 2 for value, low in zip(values, lows, strict=True)))
    above = math.sqrt(sum((high - value) ** 2 for value, high in zip(values, highs, strict=True)))
    return centre, centre - below / len(values), centre + above / len(values)


def difference_with_interval(one: Bounded, other: Bounded) -> Bounded:
    r"""Difference of two independent estimates, with an interval recovered from their own.

    .. math:: d - \sqrt{(a - l_a)^2 + (u_b - b)^2},\quad d + \sqrt{(u_a - a)^2 + (b - l_b)^2},\quad d = a - b

    Source: Zou and Donner (2008), as :func:`mean_with_interval`.

    Args:
        one: Estimate a with the lower and upper end of its interval.
        other: Estimate b, likewise.

    Returns:
        Difference, lower and upper end.

    Example:
        >>> difference_with_interval((8.0, 5.0, 11.0), (2.0, -2.0, 6.0))
        (6.0, 1.0, 11.0)
    """
    (a, a_low, a_high), (b, b_low, b_high) = one, other
    return a - b, a - b - math.hypot(a - a_low, b_high - b), a - b + math.hypot(a_high - a, b - b_low)


def jackknife_variance(without: Any) -> Any:
    r"""Variance of a statistic from its values without each block of documents.

    .. math:: \frac{B - 1}{B} \sum_b (\theta_{-b} - \bar\theta)^2

    Source: delete-a-group jackknife (Kott 2001).

    Args:
        without: ``[blocks, …]``, of NumPy or of torch: only arithmetic of arrays is used, in their own precision.

    Returns:
        Of the same library, without the first axis.

    Example:
        >>> round(float(jackknife_variance(np.array([0.9, 1.1]))), 4)
        0.01
    """
    blocks = len(without)
    return (blocks - 1) / blocks * ((without - without.mean(0)) ** 2).sum(0)


def jackknife_interval(value: float, without: Float[np.ndarray, " blocks"]) -> tuple[float, float]:
    """95 % interval of a statistic from its values without each block of documents.

    Source: delete-a-group jackknife (Kott 2001), Student's t with blocks − 1 degrees of freedom.

    Example:
        >>> low, high = jackknife_interval(1.0, np.array([0.9, 1.1]))  # standard error 0.1
        >>> round(low, 3), round(high, 3)
        (-0.271, 2.271)
    """
    blocks = len(without)
    if blocks < 2:
        return float("nan"), float("nan")
    margin = float(special.stdtrit(blocks - 1, 0.975)) * float(np.sqrt(jackknife_variance(without)))
    return value - margin, value + margin
