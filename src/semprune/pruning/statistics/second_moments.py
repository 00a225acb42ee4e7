"""Streaming second moments of a linear's inputs: what SparseGPT knows about activations.

Each batch is one product in fp32 over all its tokens (numbers from bfloat16 are multiplied as such, which is exact);
batches are summed in float64, so that rounding to fp32 at the end hides in which order, and on how many ranks, batches
were added.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor

from semprune.backbones.hardware import full_fp32
from semprune.pruning.statistics.squares import RunningMeanSquares, SquareSums
from semprune.types import LayerStats

STRIP = 192  # columns of one product: 96 to 384 are about alike at widths of 576 and 1536; little memory


class SecondMoments:
    r"""Token-weighted sums of outer products, together with the sums of squares; additive over batches and ranks.

    .. math:: H = \frac{2}{n} \sum_t \tau_t\, x_t x_t^\top

    The sums of squares are gathered beside them, in the arithmetic of :class:`SquareSums`, so that a score that needs
    no more is the same to the last bit whether or not second moments were asked for. Memory: 8 · in² bytes while
    gathering, allocated at the first batch.

    Source: equations.md P4 (arXiv 2301.00774) with the token weights of equations.md G1.

    Args:
        width: Number of input features.
        device: Where the sums are kept.
    """

    def __init__(self, width: int, device: torch.device | str = "cpu") -> None:
        """Start from zero."""
        self._squares = SquareSums(width, device)
        self._width, self._device = width, device
        self._lower: Tensor | None = None  # [in, in] float64, of which only the lower half (in strips) is filled

    def update(self, inputs: Float[Tensor, "batch tokens in"], tau: Float[Tensor, "batch tokens"] | None) -> None:
        """Add a batch; ``tau`` holds token weights, 0 for padding, None for 1 everywhere."""
        self._squares.update(inputs, tau)
        tokens = inputs.reshape(-1, self._width)
        if tau is None:
            tokens = weighted = tokens.float()
        else:
            weights = tau.reshape(-1)
            real = weights != 0  # left out before anything is computed: padding may be NaN
            tokens = tokens[real].float()
            weighted = tokens if bool((weights[real] == 1).all()) else tokens * weights[real].float().unsqueeze(-1)
        lower = self._sums()
        with full_fp32(inputs.dtype if weighted is tokens else torch.float32):
            for start, stop in _strips(self._width):
                lower[start:stop, :stop].add_(weighted[:, start:stop].t() @ tokens[:, :stop])

    def additive(self) -> tuple[Tensor, ...]:
        """Return the float64 totals that sum over ranks in place."""
        return (*self._squares.additive(), self._sums())

    def result(self) -> LayerStats:
        """Return the statistics so far, rounded to fp32."""
        stats = self._squares.result()
        moments = self._sums().float().mul_(2 / max(1, stats.sequences))
        for start, stop in _strips(self._width):
            corner = moments[start:stop, start:stop]
            corner.copy_(corner.tril() + corner.tril(-1).t())
            moments[:start, start:stop] = moments[start:stop, :start].t()
        return replace(stats, second_moments=moments)

    def _sums(self) -> Tensor:
        if self._lower is None:
            self._lower = torch.zeros(self._width, self._width, dtype=torch.float64, device=self._device)
        return self._lower


class RunningSecondMoments:
    r"""The published running mean of outer products, for ``selection: reference``; not additive over ranks.

    .. math:: H \leftarrow H \cdot \frac{n}{n+1} + X X^\top, \quad X = \sqrt{2/(n+1)}\,[x_1 \dots x_T]

    Source: the arithmetic of the code published with arXiv 2301.00774, for batches of one sequence.

    Args:
        width: Number of input features.
        device: Where the means are kept.
    """

    def __init__(self, width: int, device: torch.device | str = "cpu") -> None:
        """Start from zero."""
        self._squares = RunningMeanSquares(width, device)
        self._width, self._device = width, device
        self._moments: Tensor | None = None
        self._sequences = 0

    def update(self, inputs: Float[Tensor, "batch tokens in"], tau: Float[Tensor, "batch tokens"] | None) -> None:
        """Add a batch; tokens of weight 0 are left out, any other weight counts as 1, as published."""
        self._squares.update(inputs, tau)
        if self._moments is None:
            self._moments = torch.zeros(self._width, self._width, device=self._device)
        for index in range(inputs.shape[0]):
            sequence = inputs[index] if tau is None else inputs[index][tau[index] != 0]
            self._moments *= self._sequences / (self._sequences + 1)
            self._sequences += 1
            features = math.sqrt(2 / self._sequences) * sequence.t().float()  # [in, tokens], the published layout
            with full_fp32():
                self._moments += features.matmul(features.t())

    def additive(self) -> tuple[Tensor, ...]:
        """Return nothing: a running mean depends on the order."""
        return ()

    def result(self) -> LayerStats:
        """Return the statistics so far."""
        return replace(self._squares.result(), second_moments=self._moments)


def _strips(width: int) -> Iterator[tuple[int, int]]:
    return ((start, min(start + STRIP, width)) for start in range(0, width, STRIP))
