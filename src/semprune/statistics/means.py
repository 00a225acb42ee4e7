"""The mean of several estimates, which the tables add to what a run stored."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np


def mean_with_interval(
    values: Sequence[float], lows: Sequence[float], highs: Sequence[float]
) -> tuple[float, float, float]:
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
