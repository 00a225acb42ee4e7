"""Intervals of shares and of paired differences of shares that are never of width zero.

Items of one document count together: counts are those of as many independent items as carry the same variance.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float
from scipy import optimize, special

from semprune.statistics.intervals import Interval, clustered_error

_Z = float(special.ndtri(0.975))


def share_interval(right: Bool[np.ndarray, " items"], documents: Sequence[str]) -> Interval:
    """95 % score interval of a share.

    Source: Wilson (1927), with the effective number of items.

    Args:
        right: Which items count.
        documents: Document of each item.

    Returns:
        Ends in [0, 1]; NaN without items.

    Example:
        >>> low, high = share_interval(np.ones(10, bool), [str(item) for item in range(10)])
        >>> round(low, 4), round(high, 4)
        (0.7225, 1.0)
    """
    if not len(right):
        return Interval(float("nan"), float("nan"))
    return wilson(float(right.mean()), effective_items(right.astype(np.float64), documents))


def wilson(share: float, n: float) -> Interval:
    r"""95 % score interval of a share of n independent items.

    .. math:: \frac{p + \frac{z^2}{2n} \pm z \sqrt{\frac{p(1 - p)}{n} + \frac{z^2}{4n^2}}}{1 + \frac{z^2}{n}}

    Source: Wilson (1927).

    Args:
        share: In [0, 1].
        n: Positive.

    Returns:
        Ends in [0, 1].

    Example:
        >>> [round(end, 4) for end in wilson(1.0, 10)]
        [0.7225, 1.0]
    """
    centre = (share + _Z**2 / (2 * n)) / (1 + _Z**2 / n)
    margin = _Z / (1 + _Z**2 / n) * math.sqrt(share * (1 - share) / n + _Z**2 / (4 * n**2))
    return Interval(max(0.0, centre - margin), min(1.0, centre + margin))


def paired_difference_interval(
    before: Bool[np.ndarray, " items"], after: Bool[np.ndarray, " items"], documents: Sequence[str]
) -> Interval:
    """95 % score interval of the difference of two shares of the same items.

    Source: Tango (1998), "Equivalence test and confidence interval for the difference in proportions for the
    paired-sample design"; with the effective number of items (ours).

    Args:
        before: Which items are right with the one model.
        after: With the other.
        documents: Document of each item.

    Returns:
        Ends of after minus before, in [-1, 1]; NaN without items.

    Example:
        >>> same = np.ones(20, bool)
        >>> low, high = paired_difference_interval(same, same, [str(item) for item in range(20)])
        >>> round(low, 3), round(high, 3)
        (-0.161, 0.161)
    """
    if not len(before):
        return Interval(float("nan"), float("nan"))
    change = after.astype(np.float64) - before
    n = effective_items(change, documents)
    gained, lost = float((change > 0).mean()) * n, float((change < 0).mean()) * n
    return tango(gained, lost, n)


def tango(gained: float, lost: float, n: float) -> Interval:
    r"""95 % score interval of `(gained − lost)/n`.

    .. math:: \left|g - l - n\Delta\right| = z \sqrt{n\left(2\tilde q + \Delta(1 - \Delta)\right)}

    with `q̃` the most likely share of losses where the difference is `Δ`.

    Source: Tango (1998), eqs. 14 to 19.

    Args:
        gained: Pairs that are right only afterwards.
        lost: Pairs that are right only before.
        n: All pairs; positive.

    Returns:
        Both ends.

    Example:
        >>> [round(end, 4) for end in tango(1, 2, 14)]
        [-0.3536, 0.2164]
    """

    def excess(difference: float) -> float:
        """Score statistic, falling in the difference."""
        slope = -gained - lost + (2 * n - gained + lost) * difference
        free = -lost * difference * (1 - difference)
        share = (math.sqrt(max(0.0, slope**2 - 8 * n * free)) - slope) / (4 * n)
        variance = n * (2 * share + difference * (1 - difference))
        return (gained - lost - n * difference) / math.sqrt(max(variance, 1e-300))

    centre = (gained - lost) / n
    low = -1.0 if excess(-1 + 1e-12) <= _Z else optimize.brentq(lambda end: excess(end) - _Z, -1 + 1e-12, centre)
    high = 1.0 if excess(1 - 1e-12) >= -_Z else optimize.brentq(lambda end: excess(end) + _Z, centre, 1 - 1e-12)
    return Interval(float(low), float(high))


def effective_items(values: Float[np.ndarray, " items"], documents: Sequence[str]) -> float:
    """Number of independent items whose mean varies as much as that of items in documents.

    Between the number of documents and that of items; that of documents where nothing varies.

    Source: Kish (1965), the design effect.

    Example:
        >>> effective_items(np.array([0.0, 0.0, 1.0, 1.0]), ["a", "a", "b", "b"])
        2.0
    """
    items, clusters = len(values), len(set(documents))
    spread = float(values.var())
    if clusters == items:
        return float(items)
    if spread == 0 or clusters < 2:
        return float(clusters)
    return float(np.clip(spread / clustered_error(values, documents)[0] ** 2, clusters, items))
