"""F1 from weighted counts of hits, false alarms and misses."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int

from semprune.evaluation.metrics.accuracy import chosen
from semprune.statistics.weighting import Array, item_weights


def class_f1(
    predictions: Int[np.ndarray, " items"],
    labels: Int[np.ndarray, " items"],
    classes: int,
    weights: Float[np.ndarray, "*resamples items"] | None = None,
) -> Float[np.ndarray, "*resamples classes"]:
    r"""F1 of each class; NaN for a class that is neither a label nor a prediction.

    .. math:: F_1 = \frac{2\,TP}{2\,TP + FP + FN}

    Args:
        predictions: Predicted classes.
        labels: Right classes.
        classes: Number of classes.
        weights: Multiplicities of bootstrap resamples; None counts each item once.

    Returns:
        F1 in [0, 1].

    Example:
        >>> class_f1(np.array([0, 1, 1]), np.array([0, 0, 1]), classes=3).round(4).tolist()
        [0.6667, 0.6667, nan]
    """
    weights = item_weights(len(labels), weights)
    predicted = (predictions[:, None] == np.arange(classes)).astype(np.float64)  # [items, classes]
    actual = (labels[:, None] == np.arange(classes)).astype(np.float64)
    hits = weights @ (predicted * actual)
    both = weights @ (predicted + actual)  # 2 TP + FP + FN
    scores: Array = np.divide(2 * hits, both, out=np.full_like(both, np.nan), where=both > 0)
    return scores


def f1(
    scores: Float[np.ndarray, "items choices"],
    labels: Int[np.ndarray, " items"],
    weights: Float[np.ndarray, "*resamples items"] | None = None,
    *,
    positive: int = 1,
) -> Float[np.ndarray, "*resamples"]:
    """F1 of the positive class.

    Args:
        scores: Summed log-probabilities.
        labels: Right choices.
        weights: Multiplicities of bootstrap resamples; None counts each item once.
        positive: Index of the positive choice. The second, as in GLUE's mrpc and qqp.

    Returns:
        F1 in [0, 1], one per resample; NaN without a positive label or prediction.

    Example:
        >>> float(f1(np.array([[-1.0, -2.0], [-2.0, -1.0], [-2.0, -1.0]]), np.array([1, 1, 1])))
        0.8
    """
    value: Array = class_f1(chosen(scores), labels, scores.shape[1], weights)[..., positive]
    return value


def macro_f1(
    scores: Float[np.ndarray, "items choices"],
    labels: Int[np.ndarray, " items"],
    weights: Float[np.ndarray, "*resamples items"] | None = None,
) -> Float[np.ndarray, "*resamples"]:
    """Mean F1 over the classes that occur as label or prediction.

    Args:
        scores: Summed log-probabilities.
        labels: Right choices.
        weights: Multiplicities of bootstrap resamples; None counts each item once.

    Returns:
        Macro-F1 in [0, 1], one per resample.

    Example:
        >>> float(macro_f1(np.array([[-1.0, -2.0], [-1.0, -2.0]]), np.array([0, 1])).round(4))
        0.3333
    """
    scores_of = class_f1(chosen(scores), labels, scores.shape[1], weights)
    mean: Array = np.nanmean(scores_of, axis=-1)
    return mean
