"""Wanda mass: how much of `|W|·‖X‖` a mask removes, the simplest prediction of what a pruning costs."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from semprune.pruning.in_memory.dense_statistics import CollectedStatistics
from semprune.pruning.weights.linear import WeightCopy


def mass_lost(weight: Float[Tensor, "out in"], kept: Bool[Tensor, "out in"], squares: Float[Tensor, " in"]) -> float:
    r"""Share of a matrix's Wanda scores that a mask removes.

    .. math:: 1 - \frac{\sum_{ij} m_{ij} |W_{ij}| \lVert X_j\rVert_2}{\sum_{ij} |W_{ij}| \lVert X_j\rVert_2}

    Source: the scores are equations.md P2's. Unlike the sparsity it tells masks of one size apart, and with one set of
    norms it compares masks of all methods.

    Args:
        weight: Dense weight.
        kept: The mask.
        squares: `‖X_j‖²` of the matrix's inputs, all from the same text.

    Returns:
        From 0 to 1; NaN where the matrix saw no input.

    Example:
        >>> kept = torch.tensor([[True, False]])
        >>> mass_lost(torch.tensor([[-2.0, 1.0]]), kept, torch.tensor([1.0, 4.0]))
        0.5
    """
    scores, norms = weight.abs().float(), squares.sqrt().to(weight.device, torch.float32)
    total = float((scores @ norms).sum(dtype=torch.float64))
    if total == 0:
        return float("nan")
    return 1 - float((scores.mul_(kept.to(weight.device)) @ norms).sum(dtype=torch.float64)) / total


def masses_lost(
    dense: WeightCopy, masks: Mapping[str, Bool[Tensor, "rows columns"]], statistics: CollectedStatistics
) -> dict[str, float]:
    """:func:`mass_lost` of every matrix that a pruning has a mask for, by its name.

    Args:
        dense: Weights from before the pruning.
        masks: Of the pruning's report, in the stored orientation.
        statistics: Of the dense model, on the text that all compared prunings are measured with.
    """
    return {
        linear.name: mass_lost(
            linear.orient(weight), linear.orient(masks[linear.name]), statistics.layers[linear.name].sum_squares
        )
        for linear, weight in dense
        if linear.name in masks
    }
