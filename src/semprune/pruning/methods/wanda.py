"""Wanda: weights that are small times inputs that are small, compared inside each output row."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from semprune.pruning.method import ScoredMethod
from semprune.types import LayerStats


def wanda_score(weight: Float[Tensor, "out in"], stats: LayerStats | None) -> Float[Tensor, "out in"]:
    r"""Return absolute weights times the norms of the inputs they multiply.

    .. math:: S_{ij} = |W_{ij}| \cdot \lVert X_j \rVert_2

    The norm is over all tokens; with the published running mean (``stats.mean_squares``), over the mean sequence. The
    factor between the two is the same for all weights and changes no ranking.

    Source: equations.md P2 (arXiv 2306.11695).

    Args:
        weight: The weight.
        stats: Statistics of its inputs.

    Returns:
        fp32 scores.

    Example:
        >>> import torch
        >>> wanda_score(torch.tensor([[-2.0, 1.0]]), LayerStats(torch.tensor([1.0, 9.0]), 1.0, 1))
        tensor([[2., 3.]])
    """
    assert stats is not None
    squares = stats.sum_squares if stats.mean_squares is None else stats.mean_squares
    return weight.abs() * squares.sqrt()


METHOD = ScoredMethod(
    "wanda",
    label="Wanda",
    about="Prunes, in each output row, the smallest products of weight and input norm.",
    group="row",
    needs="squares",
    score=wanda_score,
)
