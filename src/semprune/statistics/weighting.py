"""Weighted means and ranks of items: how a metric is computed for many bootstrap resamples at once."""

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


def weighted_ranks(
    values: Float[np.ndarray, " items"], weights: Float[np.ndarray, "*resamples items"]
) -> Float[np.ndarray, "*resamples items"]:
    r"""Mid-ranks in a sample that holds each item as often as its weight says; one sort serves all resamples.

    .. math:: r_i = \sum_{j: v_j < v_i} w_j + \frac{1 + \sum_{j: v_j = v_i} w_j}{2}

    Args:
        values: What is ranked.
        weights: Multiplicities.

    Returns:
        Ranks, 1 for the least; they mean nothing where the weight is 0.

    Example:
        >>> weighted_ranks(np.array([5.0, 2.0, 5.0]), np.array([1.0, 2.0, 1.0])).tolist()
        [3.5, 1.5, 3.5]
    """
    order = np.argsort(values, kind="stable")
    firsts = np.diff(values[order], prepend=-np.inf) > 0
    tied = np.add.reduceat(weights[..., order], np.flatnonzero(firsts), axis=-1)  # [*resamples, groups]
    middle = np.cumsum(tied, axis=-1) - tied + (1 + tied) / 2
    group = np.empty(len(values), dtype=np.int64)
    group[order] = np.cumsum(firsts) - 1
    ranks: Array = middle[..., group]
    return ranks
