"""Precision against recall per concept: average precision as a torchmetrics state, and the curve."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities import dim_zero_cat

from semprune.statistics.average_precision import average_precision


class ConceptAveragePrecision(Metric):
    """Average precision of each column of scores; targets of -1 do not count.

    A column without a positive (or without any known target) gives NaN: there is nothing to find.

    Example:
        >>> metric = ConceptAveragePrecision()
        >>> metric.update(torch.tensor([[0.9, 0.1], [0.2, 0.8]]), torch.tensor([[1, -1], [0, -1]]))
        >>> metric.compute()
        tensor([1., nan])
    """

    full_state_update = False
    scores: list[Tensor]
    targets: list[Tensor]

    def __init__(self) -> None:
        """Start without observations."""
        super().__init__()
        self.add_state("scores", [], dist_reduce_fx="cat")
        self.add_state("targets", [], dist_reduce_fx="cat")

    def update(self, scores: Float[Tensor, "n columns"], targets: Int[Tensor, "n columns"]) -> None:
        """Add observations."""
        self.scores.append(scores.detach().float())
        self.targets.append(targets.to(torch.int8))

    def compute(self) -> Float[Tensor, " columns"]:
        """Average precision of each column."""
        scores, targets = dim_zero_cat(self.scores), dim_zero_cat(self.targets)
        return torch.stack([self._column(scores[:, c], targets[:, c].long()) for c in range(scores.shape[1])])

    @staticmethod
    def _column(scores: Tensor, targets: Tensor) -> Tensor:
        known = targets >= 0
        own, right = scores[known].cpu().numpy(), targets[known].cpu().numpy()
        return scores.new_tensor(average_precision(own, right, np.ones((1, len(own))))[0])


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
