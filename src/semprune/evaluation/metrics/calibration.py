"""What a model's preference for a label word does: accuracy without it, and how honest its confidence is."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int
from scipy.special import log_softmax

from semprune.evaluation.metrics.accuracy import chosen
from semprune.statistics.weighting import Array, item_weights, weighted_mean


def calibrated_accuracy(
    scores: Float[np.ndarray, "items choices"],
    labels: Int[np.ndarray, " items"],
    weights: Float[np.ndarray, "*resamples items"] | None = None,
) -> Float[np.ndarray, "*resamples"]:
    r"""Accuracy after taking away the model's own prior over the labels, which no label is needed to know.

    .. math:: \hat y_i = \arg\max_c \left(s_{ic} - \frac{1}{n}\sum_{i'} s_{i'c}\right)

    Whether s is the summed log-probability or its log-softmax over the choices makes no difference: the
    softmax subtracts a number that is the same for all choices of an item. The prior is the geometric mean
    over the evaluated items, estimated again in every bootstrap resample. It assumes no label balance, but a
    very unbalanced data set is pulled towards equal numbers of predictions.

    Source: ours; taking the mean over evaluated items as the prior is the idea of Batch Calibration
    (Zhou et al., arXiv 2309.17249), here in log space.

    Args:
        scores: Summed log-probabilities of a fixed label set, finite.
        labels: Right labels.
        weights: Multiplicities of bootstrap resamples; None counts each item once.

    Returns:
        Accuracy in [0, 1], one per resample.

    Example:
        >>> scores = np.array([[-1.0, -5.0], [-1.0, -2.0]])  # always prefers label 0, less so for the second item
        >>> float(calibrated_accuracy(scores, np.array([0, 1])))
        1.0
    """
    weights = item_weights(len(scores), weights)
    prior = weighted_mean(scores, weights)  # [*resamples, choices]
    right = chosen(scores - prior[..., None, :]) == labels  # [*resamples, items]
    total = weights.sum(axis=-1)
    value: Array = (weights * right).sum(axis=-1) / np.where(total > 0, total, np.nan)
    return value


def expected_calibration_error(
    scores: Float[np.ndarray, "items choices"],
    labels: Int[np.ndarray, " items"],
    weights: Float[np.ndarray, "*resamples items"] | None = None,
    *,
    bins: int = 10,
) -> Float[np.ndarray, "*resamples"]:
    r"""Mean gap between confidence and accuracy over bins of equal confidence width.

    .. math:: \sum_b \frac{n_b}{n} \left| \mathrm{acc}_b - \mathrm{conf}_b \right|

    Confidence is the largest softmax over the choices; bin b holds (b/B, (b+1)/B].

    Source: Guo et al., ICML 2017 (arXiv 1706.04599), eq. 3.

    Args:
        scores: Summed log-probabilities; absent choices are -inf.
        labels: Right choices.
        weights: Multiplicities of bootstrap resamples; None counts each item once.
        bins: Number of bins. Ten, for sets of a few hundred items (the paper's 15 was for thousands).

    Returns:
        Error in [0, 1], one per resample.

    Example:
        >>> scores = np.log(np.array([[0.75, 0.25], [0.25, 0.75]]))
        >>> float(expected_calibration_error(scores, np.array([0, 1])).round(4))
        0.25
    """
    confidence = np.exp(log_softmax(scores, axis=1).max(axis=1))
    right = (chosen(scores) == labels).astype(np.float64)
    place = np.clip(np.ceil(confidence * bins).astype(int) - 1, 0, bins - 1)
    member = (place[:, None] == np.arange(bins)).astype(np.float64)  # [items, bins]
    error: Array = np.abs(weighted_mean(member * (right - confidence)[:, None], weights)).sum(axis=-1)
    return error
