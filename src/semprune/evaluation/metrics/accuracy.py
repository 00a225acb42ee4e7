"""Shares of items whose best-scored choice is the right one."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int

from semprune.statistics.weighting import Array, weighted_mean


def chosen(scores: Float[np.ndarray, "*resamples items choices"]) -> Int[np.ndarray, "*resamples items"]:
    """Index of the best-scored choice; the first of several best ones wins, as in the field's harness.

    Args:
        scores: Summed log-probabilities; absent choices are -inf.

    Returns:
        Choice indices.

    Example:
        >>> chosen(np.array([[-2.0, -1.0], [-1.0, -1.0]])).tolist()
        [1, 0]
    """
    choices: Array = scores.argmax(axis=-1)
    return choices


def accuracy(
    scores: Float[np.ndarray, "items choices"],
    labels: Int[np.ndarray, " items"],
    weights: Float[np.ndarray, "*resamples items"] | None = None,
) -> Float[np.ndarray, "*resamples"]:
    """Share of items where the choice of largest summed log-probability is the label.

    Source: equations.md (``acc`` of lm-evaluation-harness).

    Args:
        scores: Summed log-probabilities; absent choices are -inf.
        labels: Right choices.
        weights: Multiplicities of bootstrap resamples; None counts each item once.

    Returns:
        Accuracy in [0, 1], one per resample.

    Example:
        >>> float(accuracy(np.array([[-2.0, -1.0], [-1.0, -1.0]]), np.array([1, 1])))
        0.5
    """
    return weighted_mean(chosen(scores) == labels, weights)


def acc_norm(
    scores: Float[np.ndarray, "items choices"],
    labels: Int[np.ndarray, " items"],
    weights: Float[np.ndarray, "*resamples items"] | None = None,
    *,
    lengths: Int[np.ndarray, "items choices"],
) -> Float[np.ndarray, "*resamples"]:
    """Accuracy after dividing each choice's log-probability by its number of characters.

    Source: equations.md (``acc_norm`` of lm-evaluation-harness).

    Args:
        scores: Summed log-probabilities; absent choices are -inf.
        labels: Right choices.
        weights: Multiplicities of bootstrap resamples; None counts each item once.
        lengths: Characters of each choice, without the space before it; at least 1.

    Returns:
        Accuracy in [0, 1], one per resample.

    Example:
        >>> scores, lengths = np.array([[-4.0, -6.0]]), np.array([[2, 6]])
        >>> float(acc_norm(scores, np.array([1]), lengths=lengths)), float(accuracy(scores, np.array([1])))
        (1.0, 0.0)
    """
    return accuracy(scores / lengths, labels, weights)
