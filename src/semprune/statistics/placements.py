"""AUROC as a mean over items, so that drops in it have standard errors and can be paired and averaged."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.special import logsumexp
from scipy.stats import rankdata

Array = Float[np.ndarray, "..."]


def auroc_values(
    scores: Float[np.ndarray, "items choices"], labels: Int[np.ndarray, " items"]
) -> Float[np.ndarray, " items"]:
    """One value per item whose mean is the AUROC of the label log-odds, and whose variance is DeLong's.

    With more than two labels the mean over one-versus-rest, of labels that have items and rests that have some.

    Source: DeLong, DeLong and Clarke-Pearson (1988): the placements, each class scaled to its share of the items.

    Args:
        scores: Summed log-probabilities of a fixed label set.
        labels: Right labels.

    Returns:
        Values; NaN where every item has the same label.

    Example:
        >>> scores = np.array([[-1.0, -9.0], [-1.0, -5.0], [-1.0, -4.0]])
        >>> float(auroc_values(scores, np.array([0, 1, 0])).mean())
        0.5
    """
    classes = [1] if scores.shape[1] == 2 else range(scores.shape[1])
    found = [_pseudo_values(_log_odds(scores, label), labels == label) for label in classes if _both(labels == label)]
    return np.mean(found, axis=0) if found else np.full(len(labels), np.nan)


def _both(positive: Bool[np.ndarray, " items"]) -> bool:
    return 0 < int(positive.sum()) < len(positive)


def _log_odds(scores: Array, label: int) -> Array:
    odds: Array = scores[:, label] - logsumexp(np.delete(scores, label, axis=1), axis=1)
    return odds


def _pseudo_values(ranking: Float[np.ndarray, " items"], positive: Bool[np.ndarray, " items"]) -> Array:
    r"""`A + (V_i − A) · N / n_{class(i)}` with the placements `V_i` and the AUROC `A`.

    Example:
        >>> float(_pseudo_values(np.array([0.1, 0.4, 0.4, 0.8]), np.array([False, False, True, True])).mean())
        0.875
    """
    together, values = rankdata(ranking), np.empty(len(ranking))
    for side in (True, False):
        own = positive == side
        below = together[own] - rankdata(ranking[own])  # items of the other class below it, ties as halves
        share = below / (~own).sum()
        values[own] = share if side else 1 - share
    area = values[positive].mean()
    counts = np.where(positive, positive.sum(), (~positive).sum())
    scaled: Array = area + (values - area) * len(ranking) / counts
    return scaled
