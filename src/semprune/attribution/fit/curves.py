"""Precision against recall of one concept, at thresholds that cover the recall evenly."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

POINTS = 127  # TensorBoard's own number


@dataclass(frozen=True, slots=True)
class PrecisionRecall:
    """Counts at falling recall.

    Attributes:
        true_positives: Of each threshold; likewise ``false_positives``, ``true_negatives`` and ``false_negatives``.
        precision: Share of what is above the threshold that has the concept.
        recall: Share of what has the concept that is above the threshold.
    """

    true_positives: Int[Tensor, " points"]
    false_positives: Int[Tensor, " points"]
    true_negatives: Int[Tensor, " points"]
    false_negatives: Int[Tensor, " points"]
    precision: Float[Tensor, " points"]
    recall: Float[Tensor, " points"]


def precision_recall(
    scores: Float[Tensor, " n"], targets: Int[Tensor, " n"], points: int = POINTS
) -> PrecisionRecall | None:
    """Curve of one concept; None where nothing has it.

    Thresholds are scores of positives, from the lowest to the highest: a concept at one token in a thousand would
    hardly show at thresholds that are spread evenly over probabilities.

    Args:
        scores: Larger speaks for the concept.
        targets: 1, 0, or -1 where it is not known.
        points: Thresholds at most.

    Example:
        >>> scores, targets = torch.tensor([0.9, 0.8, 0.7, 0.1]), torch.tensor([1, 0, 1, 0])
        >>> curve = precision_recall(scores, targets)
        >>> [round(value, 3) for value in curve.precision.tolist()], curve.recall.tolist()
        ([0.667, 1.0], [1.0, 0.5])
    """
    known = targets >= 0
    positive, negative = (scores[known & (targets == value)].double().sort().values for value in (1, 0))
    if not len(positive):
        return None
    places = torch.linspace(0, len(positive) - 1, min(points, len(positive)), device=scores.device).round().long()
    thresholds = positive[places]
    true = len(positive) - torch.searchsorted(positive, thresholds)  # at the threshold counts as above
    false = len(negative) - torch.searchsorted(negative, thresholds)
    return PrecisionRecall(
        true, false, len(negative) - false, len(positive) - true, (true / (true + false)).float(),
        (true / len(positive)).float(),
    )  # fmt: skip
