"""AUROC of more than two labels, over pairs of them: it does not move with the preference for one label."""

from __future__ import annotations

from itertools import combinations

import numpy as np
from jaxtyping import Float, Int

from semprune.statistics.auroc import placements
from semprune.statistics.weighting import Array


def pair_auroc_values(
    scores: Float[np.ndarray, "*models items choices"], labels: Int[np.ndarray, " items"]
) -> Float[np.ndarray, "*models items"]:
    r"""One value per item whose mean is the AUROC over all pairs of labels, and whose variance is DeLong's.

    .. math:: A = \frac{2}{c(c-1)} \sum_{a<b} P(s_{ib} - s_{ia} < s_{jb} - s_{ja}), \quad y_i = a, \; y_j = b

    .. math:: A + \frac{N}{n_{y_i}} \frac{1}{|P|} \sum_{p \ni y_i} (V_{ip} - A_p)

    with the placements `V` of an item among the other label's, and the pairs of labels `P` that have items. A shifted
    label prior moves all log-odds of a pair by the same amount, which no rank sees. One label against all the others
    together would move: which of the others stands for them depends on the prior. Of two labels it is
    :func:`semprune.statistics.auroc.auroc_values`.

    Source: Hand and Till (2001), eq. 7, of log-odds, for which both of its directions are the same; DeLong, DeLong and
    Clarke-Pearson (1988).

    Args:
        scores: Summed log-probabilities of a fixed label set, finite, of one model or of several.
        labels: Right labels.

    Returns:
        Values; NaN where every item has the same label.

    Example:
        >>> scores = np.array([[-1.0, -3.0, -9.0], [-2.0, -1.0, -9.0], [-4.0, -4.0, -1.0]])
        >>> float(pair_auroc_values(scores, np.array([0, 1, 2])).mean())
        1.0
        >>> float(pair_auroc_values(scores + np.array([50.0, 0.0, 0.0]), np.array([0, 1, 2])).mean())
        1.0
    """
    areas = []
    deviations = np.zeros(scores.shape[:-1])
    for first, second in combinations(np.unique(labels).tolist(), 2):
        items = np.flatnonzero((labels == first) | (labels == second))
        positive = labels[items] == second
        own = placements(scores[..., items, second] - scores[..., items, first], positive)
        areas.append(own[..., positive].mean(axis=-1, keepdims=True))
        deviations[..., items] += own - areas[-1]
    if not areas:
        return np.full(scores.shape[:-1], np.nan)
    _, label, counts = np.unique(labels, return_inverse=True, return_counts=True)
    values: Array = np.mean(areas, axis=0) + deviations / len(areas) * len(labels) / counts[label]
    return values
