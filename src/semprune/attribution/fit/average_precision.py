"""Precision against recall per concept: average precision as a torchmetrics state, and the curve."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.functional.classification import binary_average_precision
from torchmetrics.utilities import dim_zero_cat


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
        if not (targets == 1).any():
            return scores.new_tensor(float("nan"))
        # logits outside [0, 1] would be passed through a sigmoid, which keeps the order but merges the far tails
        order = scores[known].argsort().argsort().float() / known.sum()
        return binary_average_precision(_shared_ranks(scores[known], order), targets[known])


def _shared_ranks(scores: Tensor, order: Tensor) -> Tensor:
    """Give equal scores the rank of the first of them, so that ties stay ties."""
    values, inverse = scores.unique(sorted=True, return_inverse=True)
    first = torch.full((len(values),), 2.0, device=scores.device).scatter_reduce(0, inverse, order, "amin")
    return first[inverse]


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
