"""Which weights stay in a sweep from left to right: block by block, or run by run of an N:M pattern."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from semprune.pruning.selection.keep import Keep, pruned_count
from semprune.pruning.selection.lowest import select_lowest

STEP = 16
"""Columns that are updated one by one before the rest of their block is, by one product; the fastest of 8 to 32."""


class Choice:
    """Which weights stay, asked from left to right as the sweep proceeds.

    Attributes:
        run: Columns that are chosen together when the first of them is reached; 0 where whole blocks are chosen.

    Args:
        keep: What was asked for.
        rows: Rows of each matrix, where several lie one below the other; every matrix is chosen by itself.
    """

    def __init__(self, keep: Keep, rows: Sequence[int]) -> None:
        """Nothing is chosen yet."""
        self._keep = keep
        self._rows = list(rows)
        self._gone = [0] * len(rows)
        self.run = 0 if keep.pattern is None else keep.pattern.run

    def step(self, block: int) -> int:
        """Return how many columns of a block are updated one by one: whole runs; in reference selection all of them."""
        return block if self._keep.reference else max(STEP // self.run * self.run, self.run) if self.run else STEP

    def of_block(self, losses: Float[Tensor, "out columns"], stop: int) -> Bool[Tensor, "out columns"]:
        """Return what stays of a block whose last column is ``stop - 1``."""
        parts = losses.split(self._rows)
        return torch.cat([self._of_matrix(index, part, stop) for index, part in enumerate(parts)])

    def of_run(self, losses: Float[Tensor, "out run"]) -> Bool[Tensor, "out run"]:
        """Return what stays of a run."""
        return self._keep(losses, "row")

    def _of_matrix(self, index: int, losses: Tensor, stop: int) -> Tensor:
        if self._keep.reference:
            return self._keep(losses, "matrix")
        # so many that all columns so far hold the asked number exactly, whatever the blocks' sizes
        count = pruned_count(self._keep.sparsity, losses.shape[0] * stop) - self._gone[index]
        self._gone[index] += count
        return ~select_lowest(losses.reshape(1, -1), count).reshape(losses.shape)
