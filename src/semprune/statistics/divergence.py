"""How far apart two models' distributions over an item's choices are."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from scipy.special import logsumexp

from semprune.statistics.weighting import Array


def choice_divergence(
    dense: Float[np.ndarray, "*models items choices"], pruned: Float[np.ndarray, "*models items choices"]
) -> Float[np.ndarray, "*models items"]:
    r"""KL divergence of two models' distributions over the choices of each item.

    .. math:: \mathrm{KL}_i = \sum_c p_i(c) \log \frac{p_i(c)}{p'_i(c)}, \quad p_i = \mathrm{softmax}(s_i)

    Args:
        dense: The dense model's summed log-probabilities; NaN where an item has fewer choices.
        pruned: The pruned model's, or those of several; of the same choices.

    Returns:
        Nats; at least 0.

    Example:
        >>> choice_divergence(np.array([[0.0, 0.0, np.nan]]), np.array([[2.0, 0.0, np.nan]])).round(4).tolist()
        [0.4338]
    """
    before, after = (_log_shares(scores) for scores in (dense, pruned))
    parts: Array = np.where(np.isnan(dense), 0.0, np.exp(before) * (before - after))
    divergence: Array = parts.sum(-1).clip(min=0)
    return divergence


def _log_shares(scores: Float[np.ndarray, "*models items choices"]) -> Float[np.ndarray, "*models items choices"]:
    known = np.where(np.isnan(scores), -np.inf, scores)
    shares: Array = scores - logsumexp(known, axis=-1, keepdims=True)
    return shares
