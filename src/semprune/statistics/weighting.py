"""Weighted means over items: how a metric is computed for many bootstrap resamples in one product."""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Float

Array = np.ndarray[Any, np.dtype[Any]]


def weighted_mean(
    values: Float[np.ndarray, "items *columns"], weights: Float[np.ndarray, "*resamples items"] | None
) -> Float[np.ndarray, "*resamples *columns"]:
    """Mean over items, each counted as often as its weight says; NaN where all weights are 0.

    Args:
        values: One value (or row of values) per item.
        weights: Multiplicities; None counts each item once.

    Returns:
        Means in float64.

    Example:
        >>> weighted_mean(np.array([0.0, 1.0]), np.array([[1.0, 1.0], [1.0, 3.0]])).tolist()
        [0.5, 0.75]
    """
    weights = item_weights(len(values), weights)
    total = weights.sum(axis=-1)
    total = np.where(total > 0, total, np.nan)
    sums = weights @ values.astype(np.float64)
    means: Array = sums / total.reshape(total.shape + (1,) * (values.ndim - 1))
    return means


def item_weights(items: int, weights: Float[np.ndarray, "*resamples items"] | None) -> Array:
    """Return the weights, or ones where there are none.

    Args:
        items: Number of items.
        weights: Multiplicities or None.

    Returns:
        Weights in float64, items on the last axis.
    """
    return np.ones(items) if weights is None else np.asarray(weights, dtype=np.float64)
