"""Magnitude pruning: the smallest weights of a matrix go; no data is looked at."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from semprune.pruning.method import ScoredMethod
from semprune.types import LayerStats


def magnitude_score(weight: Float[Tensor, "out in"], stats: LayerStats | None = None) -> Float[Tensor, "out in"]:
    r"""Return the absolute weights, in the weight's own dtype (in which the published code compares them).

    .. math:: S_{ij} = |W_{ij}|

    Source: equations.md P1.

    Args:
        weight: The weight.
        stats: Not read.

    Example:
        >>> import torch
        >>> magnitude_score(torch.tensor([[-2.0, 1.0]]))
        tensor([[2., 1.]])
    """
    return weight.abs()


METHOD = ScoredMethod(
    "magnitude",
    label="Magnitude",
    about="Prunes the smallest weights of each matrix; looks at no data, unless the allocation does.",
    group="matrix",
    needs="nothing",
    score=magnitude_score,
)
