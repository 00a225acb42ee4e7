"""RIA: a weight counts by its share of its row and of its column, times the norm of the input it multiplies."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

import torch
from jaxtyping import Float
from torch import Tensor

from semprune.errors import SettingError
from semprune.pruning.method import Decision, Method, Needs, option
from semprune.pruning.selection.channel_order import assigned_order, snake_order
from semprune.pruning.selection.keep import Keep
from semprune.pruning.selection.pattern import Pattern
from semprune.ranges import check_ranges
from semprune.types import LayerStats, Range


def relative_importance(weight: Float[Tensor, "out in"]) -> Float[Tensor, "out in"]:
    r"""Return each weight's share of its column plus its share of its row; 0 where a sum is 0.

    .. math:: R_{ij} = \frac{|W_{ij}|}{\sum_i |W_{ij}|} + \frac{|W_{ij}|}{\sum_j |W_{ij}|}

    Source: equations.md P3 (Plug-and-Play, ICLR 2024).

    Example:
        >>> relative_importance(torch.tensor([[1.0, 3.0], [1.0, 0.0]]))
        tensor([[0.7500, 1.7500],
                [1.5000, 0.0000]])
    """
    size = weight.abs()
    smallest = torch.finfo(size.dtype).tiny
    columns, rows = size.sum(0), size.sum(1, keepdim=True)
    return size / columns.clamp(min=smallest) + size / rows.clamp(min=smallest)


def published_importance(weight: Float[Tensor, "out in"]) -> Float[Tensor, "out in"]:
    """Return the same in the weight's own dtype, NaN where a sum is 0: those weights, all 0, are never selected.

    Source: the arithmetic of the code published with Plug-and-Play (ICLR 2024).
    """
    size = weight.abs()
    return size / size.sum(0) + size / size.sum(1).reshape(-1, 1)


@dataclass(frozen=True)
class RIA(Method):
    r"""Relative importance and activations.

    .. math:: S_{ij} = R_{ij} \cdot \lVert X_j \rVert_2^a

    Source: equations.md P3 (Plug-and-Play, ICLR 2024).

    Attributes:
        exponent: a; 0.5 as published.
        group: Which weights compete where there is no pattern: those of the whole ``matrix`` (as published), or of a
            ``row``.
        permutation: The order of the columns in which an N:M pattern holds. ``none``: their own. ``snake``: dealt by
            summed score. ``assignment``: that, refined by linear sum assignments. With the last two, masks are mapped
            back to the matrix's own order, in which the pattern does *not* hold; the order is reported with them. In
            reference selection ``snake`` is the published order bit for bit, and ``assignment`` up to how the sums that
            the assignment compares are rounded.
    """

    exponent: Annotated[float, Range(0, words="≥ 0, the power of the inputs' norms")] = option(
        0.5, "Power of the input norm; 0.5 as published."
    )
    group: Literal["matrix", "row"] = option(
        "matrix", "matrix (as published) or row: which weights compete where there is no pattern."
    )
    permutation: Literal["none", "snake", "assignment"] = option(
        "none", "none, snake or assignment: the order of columns in which a pattern holds."
    )
    name: str = "ria"
    label: str = "RIA"
    about: str = "Prunes weights by their share of their row and column, times a power of the input norm."
    needs: Needs = "squares"

    def __post_init__(self) -> None:
        """Check the options.

        Raises:
            SettingError: An option has a value it cannot have.
        """
        check_ranges(self)
        if self.group not in ("matrix", "row"):
            raise SettingError("group", self.group, "'matrix' or 'row'")
        if self.permutation not in ("none", "snake", "assignment"):
            raise SettingError("permutation", self.permutation, "'none', 'snake' or 'assignment'")

    def check(self, keep: Keep) -> None:
        """Refuse a permutation without a pattern.

        Raises:
            SettingError: Columns are to be reordered, but no pattern compares neighbours.
        """
        if keep.pattern is None and self.permutation != "none":
            raise SettingError("permutation", self.permutation, "'none' where there is no N:M pattern")

    def score(self, weight: Float[Tensor, "out in"], stats: LayerStats, keep: Keep) -> Float[Tensor, "out in"]:
        """Return the scores, fp32; in reference selection with the published arithmetic."""
        if keep.reference:
            assert stats.mean_squares is not None
            return published_importance(weight) * stats.mean_squares.sqrt().reshape(1, -1) ** self.exponent
        return relative_importance(weight.float()) * stats.sum_squares.sqrt() ** self.exponent

    def prune(self, weight: Float[Tensor, "out in"], stats: LayerStats | None, keep: Keep) -> Decision:
        """Keep the highest scores."""
        assert stats is not None
        score = self.score(weight, stats, keep)
        if keep.pattern is None or self.permutation == "none":
            return Decision(keep(score, self.group))
        order = self._order(score, keep.pattern, stable=not keep.reference)
        kept = torch.empty_like(score, dtype=torch.bool)
        kept[:, order] = keep(score[:, order], self.group)
        return Decision(kept, order=order)

    def _order(self, score: Tensor, pattern: Pattern, *, stable: bool) -> Tensor:
        order = snake_order(score, pattern, stable=stable)
        return assigned_order(score, order, pattern) if self.permutation == "assignment" else order


METHOD = RIA()
