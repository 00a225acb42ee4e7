"""Average precision of a ranking, for many weightings of its observations at once."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int


def average_precision(
    scores: Float[np.ndarray, " n"], targets: Int[np.ndarray, " n"], weights: Float[np.ndarray, "draws n"]
) -> Float[np.ndarray, " draws"]:
    r"""Average precision under several weightings of the same observations, sorted once.

    .. math:: AP = \sum_n (R_n - R_{n-1}) P_n

    over the distinct scores from the highest down; equal scores share one threshold.

    Args:
        scores: Larger where the concept is thought to be.
        targets: 1 or 0.
        weights: Weight of each observation, one row per weighting.

    Returns:
        NaN where no positive has weight.

    Example:
        >>> scores, targets = np.array([0.9, 0.8, 0.1]), np.array([1, 0, 1])
        >>> average_precision(scores, targets, np.array([[1.0, 1.0, 1.0], [1.0, 0.0, 1.0]])).round(4).tolist()
        [0.8333, 1.0]
    """
    if not len(scores):
        return np.full(len(weights), np.nan)
    order = np.argsort(-scores, kind="stable")
    ends = np.append(np.flatnonzero(np.diff(scores[order])), len(scores) - 1)
    found = np.cumsum(weights[:, order] * targets[order], axis=1)[:, ends]
    taken = np.cumsum(weights[:, order], axis=1)[:, ends]
    precision = np.divide(found, taken, out=np.zeros_like(found), where=taken > 0)
    gained = np.diff(found, axis=1, prepend=0.0)
    total = found[:, -1]
    out: np.ndarray = np.divide((gained * precision).sum(1), total, out=np.full(len(total), np.nan), where=total > 0)
    return out
