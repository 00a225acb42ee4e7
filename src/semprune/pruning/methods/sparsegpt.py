"""SparseGPT: weights that cost least to lose go, column by column, and those that stay make up for them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from semprune.errors import SettingError
from semprune.pruning.method import Decision, Method, Needs, option
from semprune.pruning.selection.keep import Keep
from semprune.pruning.weights.brain_surgeon import Choice, inverse_factor, sweep
from semprune.ranges import check_ranges
from semprune.types import LayerStats, Range


@dataclass(frozen=True)
class SparseGPT(Method):
    r"""One-shot pruning by the optimal brain surgeon.

    .. math:: \text{loss}_{ij} = w_{ij}^2 / U_{jj}^2, \quad U^\top U = (H + \lambda I)^{-1}

    Exact selection: of the rows × columns of each block exactly so many go that all blocks so far hold the asked
    number; among equals the first of a row, row by row. Reference: everything up to the published threshold of the
    block goes. With an N:M pattern each run is chosen when its first column is reached, from the updated weights.
    Weights of inputs that are always 0 become 0, though their mask may keep them.

    Source: equations.md P4 (arXiv 2301.00774).

    Attributes:
        damping: Share of the mean diagonal of H that is added to the diagonal; 0.01 as published.
        block: Columns that are chosen together; 128 as published.
    """

    damping: Annotated[float, Range(0, words="≥ 0, as a share of the mean diagonal")] = option(
        0.01, "Share of the second moments' mean diagonal that is added to the diagonal; 0.01 as published."
    )
    block: Annotated[int, Range(1, words="a whole number of columns, at least 1")] = option(
        128, "Columns that are chosen together; 128 as published."
    )
    name: str = "sparsegpt"
    label: str = "SparseGPT"
    about: str = "Prunes the weights that cost least to lose and lets the others make up for them."
    needs: Needs = "second_moments"
    changes_weights: ClassVar[bool] = True

    def __post_init__(self) -> None:
        """Check the options.

        Raises:
            SettingError: An option has a value it cannot have.
        """
        check_ranges(self)

    def check(self, keep: Keep) -> None:
        """Refuse patterns whose runs would lie across blocks.

        Raises:
            SettingError: M does not divide the number of columns of a block.
        """
        if keep.pattern is not None and self.block % keep.pattern.run:
            allowed = f"a multiple of the M of pattern {keep.pattern}, so that no run lies across two blocks"
            raise SettingError("block", self.block, allowed)

    def prune(self, weight: Float[Tensor, "out in"], stats: LayerStats | None, keep: Keep) -> Decision:
        """Decide about one matrix.

        Raises:
            NotPositiveDefiniteError: The damped second moments have no inverse.
        """
        name = "the matrix"
        return next(self.prune_together({name: weight}, stats, {name: keep}))[1]

    def prune_together(
        self, weights: Mapping[str, Float[Tensor, "out in"]], stats: LayerStats | None, keeps: Mapping[str, Keep]
    ) -> Iterator[tuple[str, Decision]]:
        """Decide about matrices that read the same inputs: inverted once, swept together.

        Raises:
            NotPositiveDefiniteError: The damped second moments have no inverse; names the first matrix.
        """
        assert stats is not None
        assert stats.second_moments is not None
        first, keep = next(iter(keeps.items()))
        if keep.pattern is None and not any(each.sparsity for each in keeps.values()):
            for name, weight in weights.items():
                yield name, Decision(torch.ones_like(weight, dtype=torch.bool))
            return
        upper, dead = inverse_factor(stats.second_moments, self.damping, first, published_mean=keep.reference)
        # Those chosen exactly are swept as one matrix; as published, each by itself: products round by their size.
        for names in [[name] for name in weights] if keep.reference else [list(weights)]:
            updated = torch.cat([weights[name] for name in names]).float()
            updated[:, dead] = 0
            rows = [weights[name].shape[0] for name in names]
            kept = sweep(updated, upper, self.block, Choice([keeps[name] for name in names], rows))
            for name, mask, weight in zip(names, kept.split(rows), updated.split(rows), strict=True):
                yield name, Decision(mask, weight)


METHOD = SparseGPT()
