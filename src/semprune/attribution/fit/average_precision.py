"""Average precision per concept as one torchmetrics state."""

from __future__ import annotations

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
