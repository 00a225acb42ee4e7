"""Area under the ROC curve of label log-odds: does the model know, whatever label word it prefers.

As one figure for any weights of the items, and as a mean over items, so that drops in it have standard errors and can
be paired and averaged.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.special import logsumexp

from semprune.statistics.weighting import Array, item_weights


def label_log_odds(
    scores: Float[np.ndarray, "*models items choices"], label: int
) -> Float[np.ndarray, "*models items"]:
    """Log-odds of one label against all others together.

    Args:
        scores: Summed log-probabilities of a fixed label set, finite.
        label: Index of the label.

    Returns:
        ``score[label] - logsumexp(other scores)``, in nats.

    Example:
        >>> label_log_odds(np.array([[-3.0, -1.0]]), 1).tolist()
        [2.0]
    """
    others = np.delete(scores, label, axis=-1)
    together = others[..., 0] if others.shape[-1] == 1 else logsumexp(others, axis=-1)  # of one, it is the one
    odds: Array = scores[..., label] - together
    return odds


def binary_auroc(
    ranking: Float[np.ndarray, " items"],
    positive: Bool[np.ndarray, " items"],
    weights: Float[np.ndarray, "*resamples items"] | None = None,
) -> Float[np.ndarray, "*resamples"]:
    r"""Probability that a positive item ranks above a negative one; ties count half.

    .. math:: \frac{\sum_g P_g (N_{<g} + N_g/2)}{P N}

    over groups g of tied values, with positive and negative weights P and N. One sort serves all resamples.

    Args:
        ranking: Values that should be larger for positive items.
        positive: Which items are positive.
        weights: Multiplicities of bootstrap resamples; None counts each item once.

    Returns:
        AUROC in [0, 1], one per resample; NaN without a positive or without a negative item.

    Example:
        >>> float(binary_auroc(np.array([0.1, 0.4, 0.4, 0.8]), np.array([False, False, True, True])))
        0.875
    """
    weights = item_weights(len(ranking), weights)
    order = np.argsort(ranking, kind="stable")
    starts = np.flatnonzero(np.diff(ranking[order], prepend=-np.inf))  # first item of each tied group
    ordered = weights[..., order]
    positives = np.add.reduceat(ordered * positive[order], starts, axis=-1)  # [*resamples, groups]
    negatives = np.add.reduceat(ordered * ~positive[order], starts, axis=-1)
    below = np.cumsum(negatives, axis=-1) - negatives / 2
    pairs = positives.sum(axis=-1) * negatives.sum(axis=-1)
    area: Array = (positives * below).sum(axis=-1) / np.where(pairs > 0, pairs, np.nan)
    return area


def auroc(
    scores: Float[np.ndarray, "items choices"],
    labels: Int[np.ndarray, " items"],
    weights: Float[np.ndarray, "*resamples items"] | None = None,
) -> Float[np.ndarray, "*resamples"]:
    r"""AUROC of the label log-odds; for more than two labels the mean over all pairs of labels.

    .. math:: \frac{2}{c(c-1)} \sum_{a<b} P(s_{ib} - s_{ia} < s_{jb} - s_{ja}), \quad y_i = a, \; y_j = b

    It does not change when a label's scores all move by the same amount: a shifted label prior leaves it alone, lost
    knowledge does not (equations.md, bias versus semantics). One label against all the others together would move:
    which of the others stands for them depends on the prior. It means nothing where each item has choices of its own
    (piqa); such data sets do not list it.

    Source: Hand and Till (2001), eq. 7, of log-odds, for which both of its directions are the same.

    Args:
        scores: Summed log-probabilities of a fixed label set, finite.
        labels: Right labels.
        weights: Multiplicities of bootstrap resamples; None counts each item once.

    Returns:
        AUROC in [0, 1], one per resample. Pairs of which one label has no item are left out of the mean; NaN where
        none is left.

    Example:
        >>> scores = np.array([[-1.0, -9.0], [-1.0, -5.0], [-1.0, -4.0]])
        >>> float(auroc(scores, np.array([0, 0, 1]))), float(auroc(scores, np.array([0, 1, 0])))
        (1.0, 0.5)
    """
    weights = item_weights(len(labels), weights)
    total, count = np.zeros(weights.shape[:-1]), np.zeros(weights.shape[:-1])
    for ranking, positive, items in _label_pairs(scores, labels):
        area = binary_auroc(ranking, positive, weights[..., items])
        defined = ~np.isnan(area)
        total += np.where(defined, area, 0.0)
        count += defined
    mean: Array = total / np.where(count > 0, count, np.nan)
    return mean


def _label_pairs(
    scores: Float[np.ndarray, "*models items choices"], labels: Int[np.ndarray, " items"]
) -> Iterator[tuple[Array, Array, Array]]:
    """Of each two labels that have items: log-odds of the second, which items have it, and the items' places."""
    for first, second in combinations(np.unique(labels).tolist(), 2):
        items = np.flatnonzero((labels == first) | (labels == second))
        yield scores[..., items, second] - scores[..., items, first], labels[items] == second, items


def auroc_values(
    scores: Float[np.ndarray, "*models items choices"], labels: Int[np.ndarray, " items"]
) -> Float[np.ndarray, "*models items"]:
    r"""One value per item whose mean is :func:`auroc`, and whose variance is DeLong's.

    .. math:: A + \frac{N}{n_{y_i}} \frac{1}{|P|} \sum_{p \ni y_i} (V_{ip} - A_p)

    with the placements `V` of an item among the other label's, and the pairs of labels `P` that have items.

    Source: DeLong, DeLong and Clarke-Pearson (1988): the placements, each class scaled to its share of the items.

    Args:
        scores: Summed log-probabilities of a fixed label set, of one model or of several.
        labels: Right labels.

    Returns:
        Values; NaN where every item has the same label.

    Example:
        >>> scores = np.array([[-1.0, -3.0, -9.0], [-2.0, -1.0, -9.0], [-4.0, -4.0, -1.0]])
        >>> float(auroc_values(scores, np.array([0, 1, 2])).mean())
        1.0
        >>> float(auroc_values(scores + np.array([50.0, 0.0, 0.0]), np.array([0, 1, 2])).mean())
        1.0
    """
    areas = []
    deviations = np.zeros(scores.shape[:-1])
    for ranking, positive, items in _label_pairs(scores, labels):
        own = placements(ranking, positive)
        areas.append(np.ascontiguousarray(own[..., positive]).mean(axis=-1, keepdims=True))
        deviations[..., items] += own - areas[-1]
    if not areas:
        return np.full(scores.shape[:-1], np.nan)
    _, label, counts = np.unique(labels, return_inverse=True, return_counts=True)
    values: Array = np.mean(areas, axis=0) + deviations / len(areas) * len(labels) / counts[label]
    return values


def placements(
    ranking: Float[np.ndarray, "*models items"], positive: Bool[np.ndarray, " items"]
) -> Float[np.ndarray, "*models items"]:
    """Share of the other class's items that an item is rightly ordered with, ties as halves.

    Its mean over either class is the AUROC.

    Args:
        ranking: Values that should be larger for positive items.
        positive: Which items are positive; some are, some are not.

    Example:
        >>> placements(np.array([0.1, 0.4, 0.4, 0.8]), np.array([False, False, True, True])).tolist()
        [1.0, 0.75, 0.75, 1.0]
    """
    values = np.empty(ranking.shape)
    for side in (True, False):
        own = positive == side
        share = _below(ranking[..., own], ranking[..., ~own]) / (~own).sum()
        values[..., own] = share if side else 1 - share
    return values


def _below(values: Float[np.ndarray, "*models own"], others: Float[np.ndarray, "*models others"]) -> Array:
    """How many of the others each value is above, ties as halves."""
    pairs = zip(values.reshape(-1, values.shape[-1]), np.sort(others.reshape(-1, others.shape[-1])), strict=True)
    counts = [np.searchsorted(other, own, "left") + np.searchsorted(other, own, "right") for own, other in pairs]
    below: Array = np.reshape(np.array(counts), values.shape) / 2
    return below
