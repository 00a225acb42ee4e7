"""Which weights go, given their scores: exactly as many as asked, or what the published code takes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from semprune.errors import SettingError
from semprune.pruning.selection.pattern import Pattern, select_pattern_exact, select_pattern_reference
from semprune.ranges import check_value
from semprune.types import Sparsity

FEW_ROWS = 32


def select_lowest(score: Float[Tensor, "groups members"], count: int) -> Bool[Tensor, "groups members"]:
    """Return True for the ``count`` lowest scores of each row; among equals the first ones.

    Source: ours. The same set as the head of a stable sort, found without sorting.

    Example:
        >>> select_lowest(torch.tensor([[2.0, 1.0, 1.0, 1.0]]), 2)
        tensor([[False,  True,  True, False]])
    """
    if count == 0:
        return torch.zeros_like(score, dtype=torch.bool)
    threshold = lowest_threshold(score, count)
    lowest = score <= threshold
    if (lowest.sum(-1) > count).any():
        below, equal = score < threshold, score == threshold
        lowest = below | (equal & (equal.cumsum(-1) <= count - below.sum(-1, keepdim=True)))
    return lowest


def lowest_threshold(score: Float[Tensor, "groups members"], count: int) -> Float[Tensor, "groups 1"]:
    """Return the ``count``-th lowest score of each row, found without sorting; NaN counts as the highest.

    Source: ours. On one CPU core numpy's selection is three times as fast as torch's, which shares rows out over cores.
    A GPU's ``kthvalue`` gives a row to one of its hundred multiprocessors: of few rows, ``topk`` is by far the faster.

    Example:
        >>> lowest_threshold(torch.tensor([[2.0, 1.0, 3.0]]), 2)
        tensor([[2.]])
    """
    if score.is_cuda and score.shape[0] < FEW_ROWS:
        return score.topk(count, dim=-1, largest=False, sorted=False).values.amax(-1, keepdim=True)
    if score.device.type != "cpu" or (score.shape[0] > 1 and torch.get_num_threads() > 3):
        return score.kthvalue(count, dim=-1, keepdim=True).values
    wide = score if score.element_size() >= 4 else score.float()  # numpy has no bfloat16; no score changes
    found = np.partition(wide.detach().numpy(), count - 1, axis=-1)[:, count - 1 : count]
    return torch.from_numpy(found.copy()).to(score.dtype)


Group = Literal["row", "matrix"]


def pruned_count(sparsity: float, size: int) -> int:
    """Return how many of ``size`` weights a sparsity removes: the largest whole number that is not above it.

    The decimal that the user wrote counts, not its binary neighbour: ``int(100 * 0.29)`` is 28. A sparsity below 1
    never removes all: a row that competes by itself always keeps a weight.

    Example:
        >>> pruned_count(0.29, 100), pruned_count(0.5, 5)
        (29, 2)
    """
    return int(Fraction(repr(float(sparsity))) * size)


def check_sparsity(sparsity: float) -> float:
    """Return the sparsity as a float.

    Raises:
        SparsityRangeError: It is outside [0, 1) or not a number.
    """
    check_value("sparsity", sparsity, Sparsity)
    return float(sparsity)


def select_exact(score: Float[Tensor, "out in"], sparsity: float, group: Group) -> Bool[Tensor, "out in"]:
    """Keep all but the lowest scores of each group: exactly :func:`pruned_count` go; among equals the first ones.

    Source: ours.

    Args:
        score: Finite scores.
        sparsity: Share of each group to prune, in [0, 1).
        group: ``row``: each output row by itself; ``matrix``: all weights together.

    Returns:
        True where a weight is kept.

    Example:
        >>> select_exact(torch.tensor([[2.0, 1.0, 1.0, 1.0]]), 0.5, "row")
        tensor([[ True, False, False,  True]])
    """
    grouped = score if group == "row" else score.reshape(1, -1)
    return ~select_lowest(grouped, pruned_count(sparsity, grouped.shape[-1])).reshape(score.shape)


def select_reference(score: Float[Tensor, "out in"], sparsity: float, group: Group) -> Bool[Tensor, "out in"]:
    """Keep what the published code keeps.

    ``matrix``: the score at position ``int(size · sparsity)`` of the sorted scores is a threshold, and everything up
    to and including it goes: at least one weight too many, and all its equals. ``row``: the first
    ``int(in · sparsity)`` of a stable sort go. At sparsity 0 the published code does not prune at all.

    Source: the code published with arXiv 2306.11695 (magnitude, Wanda), restated.

    Args:
        score: Finite scores, in the dtype the published code compares them in.
        sparsity: Share to prune, in [0, 1).
        group: ``row`` or ``matrix``.

    Returns:
        True where a weight is kept.

    Example:
        >>> select_reference(torch.tensor([[2.0, 1.0, 1.0, 1.0]]), 0.5, "matrix")
        tensor([[ True, False, False, False]])
    """
    if sparsity == 0:
        return torch.ones_like(score, dtype=torch.bool)
    if group == "matrix":
        threshold = lowest_threshold(score.reshape(1, -1), int(score.numel() * sparsity) + 1)
        return ~(score <= threshold)  # keeps NaN
    order = torch.sort(score, dim=-1, stable=True)[1]
    pruned = torch.zeros_like(score, dtype=torch.bool)
    return ~pruned.scatter_(1, order[:, : int(score.shape[1] * sparsity)], True)


SELECTIONS: dict[str, Callable[[Tensor, float, Group], Tensor]] = {"exact": select_exact, "reference": select_reference}


def check_selection(selection: str) -> str:
    """Return the selection.

    Raises:
        SettingError: There is no such selection.
    """
    if selection not in SELECTIONS:
        raise SettingError("selection", selection, "'exact' or 'reference'")
    return selection


POWER = 0.25
"""Power of a row's Fisher information in scores that are linear in the weight; a trial found it best (ours)."""
LEAST = 1e-4
"""Least Fisher information of a row, as a share of the mean: none is left without a weight for want of it (ours)."""


def row_factors(outputs: Float[Tensor, " out"]) -> Float[Tensor, " out"]:
    r"""What the scores of a matrix's rows are multiplied by, so that rows compete with each other.

    .. math:: \Big(\frac{g_i}{\bar g}\Big)^{1/4}

    Source: equations.md G3.

    Example:
        >>> row_factors(torch.tensor([0.0, 1.0, 16.0, 15.0]))
        tensor([0.1000, 0.5946, 1.1892, 1.1702])
    """
    return (outputs / outputs.mean()).clamp_min(LEAST) ** POWER


@dataclass(frozen=True, slots=True)
class Keep:
    """Which weights a method is to keep, given scores and the group that competes.

    Attributes:
        selection: ``exact`` or ``reference``.
        sparsity: Share to prune; not read where there is a pattern.
        pattern: N:M, whose runs are the groups then; None for no pattern.
        outputs: Fisher information at each output; None where it is not known.
    """

    selection: str
    sparsity: float
    pattern: Pattern | None = None
    outputs: Float[Tensor, " out"] | None = None

    @property
    def reference(self) -> bool:
        """Whether the published code is to be followed bit for bit."""
        return self.selection == "reference"

    def comparable(self, score: Float[Tensor, "out columns"], degree: int = 1) -> Float[Tensor, "out columns"]:
        """Return scores that rows compete by: times what hangs on each output, where that is known.

        Args:
            score: Of some columns.
            degree: 1 for scores that grow as the weight does, 2 for those that grow as its square.
        """
        return score if self.outputs is None else score * row_factors(self.outputs).to(score)[:, None] ** degree

    def __call__(self, score: Float[Tensor, "out in"], group: Group) -> Bool[Tensor, "out in"]:
        """Return True where a weight is kept; the lowest scores go, of the whole matrix where outputs are known."""
        if self.pattern is None:
            group = group if self.outputs is None else "matrix"
            return SELECTIONS[self.selection](self.comparable(score), self.sparsity, group)
        return (select_pattern_reference if self.reference else select_pattern_exact)(score, self.pattern)


def keeper(selection: str, sparsity: float, pattern: str | None = None) -> Keep:
    """Return what a method asks which weights to keep.

    Example:
        >>> keeper("exact", 0.5)(torch.tensor([[2.0, 1.0]]), "row")
        tensor([[ True, False]])
    """
    return Keep(selection, sparsity, None if pattern is None else Pattern.parse(pattern))
