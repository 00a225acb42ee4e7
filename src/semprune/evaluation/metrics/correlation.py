"""Rank correlation of a model's log-odds with grades that people gave."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from semprune.statistics.auroc import label_log_odds
from semprune.statistics.weighting import Array, item_weights, weighted_ranks


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
