"""Rank correlation of a model's log-odds with grades that people gave."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from semprune.evaluation.metrics.ranking import label_log_odds
from semprune.statistics.weighting import Array, item_weights


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


def spearman(
    scores: Float[np.ndarray, "items choices"],
    grades: Float[np.ndarray, " items"],
    weights: Float[np.ndarray, "*resamples items"] | None = None,
) -> Float[np.ndarray, "*resamples"]:
    r"""Spearman's rank correlation of the second choice's log-odds with the grades.

    .. math:: \rho = \frac{\sum_i w_i (r_i - \bar r)(g_i - \bar g)}
              {\sqrt{\sum_i w_i (r_i - \bar r)^2 \sum_i w_i (g_i - \bar g)^2}}

    with r and g the mid-ranks of log-odds and grades. A shifted preference for one label word leaves it alone.

    Source: equations.md; the measure of the STS benchmark (Cer et al., SemEval 2017).

    Args:
        scores: Summed log-probabilities of two choices, finite; the second one says "similar".
        grades: What people said, on any scale.
        weights: Multiplicities of bootstrap resamples; None counts each item once.

    Returns:
        Correlation in [-1, 1], one per resample; NaN where all log-odds or all grades are equal.

    Example:
        >>> scores = np.array([[0.0, -3.0], [0.0, -1.0], [0.0, -2.0]])
        >>> float(spearman(scores, np.array([0.5, 5.0, 4.0]))), float(spearman(scores, np.array([5.0, 0.5, 1.0])))
        (1.0, -1.0)
    """
    weights = item_weights(len(grades), weights)
    ranks = [weighted_ranks(values, weights) for values in (label_log_odds(scores, 1), grades)]
    total = weights.sum(axis=-1, keepdims=True)
    centre = (total + 1) / 2  # the mean of all mid-ranks, whatever is tied
    x, y = (rank - centre for rank in ranks)
    spread = np.sqrt((weights * x**2).sum(axis=-1) * (weights * y**2).sum(axis=-1))
    correlation: Array = (weights * x * y).sum(axis=-1) / np.where(spread > 0, spread, np.nan)
    return correlation
