"""Intervals over blocks of documents."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from scipy import stats


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
    error = float(np.sqrt((blocks - 1) / blocks * np.square(without - without.mean()).sum()))
    margin = float(stats.t.ppf(0.975, blocks - 1)) * error
    return value - margin, value + margin
