"""Area under the ROC curve of label log-odds: does the model know, whatever label word it prefers."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.special import logsumexp

from semprune.statistics.weighting import Array, item_weights


def label_log_odds(scores: Float[np.ndarray, "items choices"], label: int) -> Float[np.ndarray, " items"]:
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
    odds: Array = scores[:, label] - logsumexp(np.delete(scores, label, axis=1), axis=1)
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
    classes = [1] if scores.shape[1] == 2 else range(scores.shape[1])
    areas = np.stack([binary_auroc(label_log_odds(scores, label), labels == label, weights) for label in classes])
    defined = ~np.isnan(areas)
    count = defined.sum(axis=0)
    mean: Array = np.where(defined, areas, 0.0).sum(axis=0) / np.where(count > 0, count, np.nan)
    return mean
