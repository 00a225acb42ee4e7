"""Area under the ROC curve of label log-odds: does the model know, whatever label word it prefers.

As one figure for any weights of the items, and as a mean over items, so that drops in it have standard errors and can
be paired and averaged.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.special import logsumexp
from scipy.stats import rankdata

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
    """AUROC of the label log-odds; for more than two labels the mean over one-versus-rest.

    It does not change when a label's scores all move by the same amount in a two-label task: a shifted label
    prior leaves it alone, lost knowledge does not (equations.md, bias versus semantics). It means nothing where
    each item has choices of its own (piqa); such data sets do not list it.

    Args:
        scores: Summed log-probabilities of a fixed label set, finite.
        labels: Right labels.
        weights: Multiplicities of bootstrap resamples; None counts each item once.

    Returns:
        AUROC in [0, 1], one per resample. Labels without a positive or a negative item are left out of the mean;
        NaN where none is left.

    Example:
        >>> scores = np.array([[-1.0, -9.0], [-1.0, -5.0], [-1.0, -4.0]])
        >>> float(auroc(scores, np.array([0, 0, 1]))), float(auroc(scores, np.array([0, 1, 0])))
        (1.0, 0.5)
    """
    one_against_rest = _one_against_rest(scores)
    areas = np.stack(
        [binary_auroc(label_log_odds(scores, label), labels == label, weights) for label in one_against_rest]
    )
    defined = ~np.isnan(areas)
    count = defined.sum(axis=0)
    mean: Array = np.where(defined, areas, 0.0).sum(axis=0) / np.where(count > 0, count, np.nan)
    return mean


def _one_against_rest(scores: Float[np.ndarray, "*models items choices"]) -> Sequence[int]:
    """Labels that are compared with all others; of two labels the second one says all."""
    return [1] if scores.shape[-1] == 2 else range(scores.shape[-1])


def auroc_values(
    scores: Float[np.ndarray, "*models items choices"], labels: Int[np.ndarray, " items"]
) -> Float[np.ndarray, "*models items"]:
    """One value per item whose mean is the AUROC of the label log-odds, and whose variance is DeLong's.

    With more than two labels the mean over one-versus-rest, of labels that have items and rests that have some.

    Source: DeLong, DeLong and Clarke-Pearson (1988): the placements, each class scaled to its share of the items.

    Args:
        scores: Summed log-probabilities of a fixed label set, of one model or of several.
        labels: Right labels.

    Returns:
        Values; NaN where every item has the same label.

    Example:
        >>> scores = np.array([[-1.0, -9.0], [-1.0, -5.0], [-1.0, -4.0]])
        >>> float(auroc_values(scores, np.array([0, 1, 0])).mean())
        0.5
    """
    held = [label for label in _one_against_rest(scores) if 0 < (labels == label).sum() < len(labels)]
    found = [_pseudo_values(label_log_odds(scores, label), labels == label) for label in held]
    return np.mean(found, axis=0) if found else np.full(scores.shape[:-1], np.nan)


def _pseudo_values(ranking: Float[np.ndarray, "*models items"], positive: Bool[np.ndarray, " items"]) -> Array:
    r"""`A + (V_i − A) · N / n_{class(i)}` with the placements `V_i` and the AUROC `A`.

    Example:
        >>> float(_pseudo_values(np.array([0.1, 0.4, 0.4, 0.8]), np.array([False, False, True, True])).mean())
        0.875
    """
    values = placements(ranking, positive)
    area = np.ascontiguousarray(values[..., positive]).mean(axis=-1, keepdims=True)
    counts = np.where(positive, positive.sum(), (~positive).sum())
    scaled: Array = area + (values - area) * len(positive) / counts
    return scaled


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
    together, values = rankdata(ranking, axis=-1), np.empty(ranking.shape)
    for side in (True, False):
        own = positive == side
        below = together[..., own] - rankdata(ranking[..., own], axis=-1)  # of the other class, ties as halves
        share = below / (~own).sum()
        values[..., own] = share if side else 1 - share
    return values
