"""Streaming statistics of a linear's inputs: what Wanda and its relatives know about activations.

Squares are summed in fp32 inside a sequence and in float64 over sequences. Rounding to fp32 at the end then hides in
which order, and on how many ranks, sequences were added: in practice 1 and n processes agree to the last bit.
"""

from __future__ import annotations

from typing import Protocol

import torch
from jaxtyping import Float
from torch import Tensor

from semprune.types import LayerStats


class Accumulator(Protocol):
    """Gathers the statistics of one linear's input, batch by batch."""

    def update(self, inputs: Float[Tensor, "batch tokens in"], tau: Float[Tensor, "batch tokens"] | None) -> None:
        """Add a batch; ``tau`` holds token weights, 0 for padding, None for 1 everywhere."""

    def additive(self) -> tuple[Tensor, ...]:
        """Return the tensors that sum over ranks in place; none where the statistics are not additive."""

    def result(self) -> LayerStats:
        """Return the statistics so far."""


def token_squares(
    inputs: Float[Tensor, "tokens in"], tau: Float[Tensor, " tokens"] | None = None
) -> Float[Tensor, " in"]:
    r"""Return the token-weighted sum of squares of each input feature of one sequence.

    .. math:: s_j = \sum_t \tau_t x_{tj}^2

    Tokens of weight 0 are left out before anything is computed, so that padding may even be NaN.

    Source: equations.md P2 (Wanda, arXiv 2306.11695) with the token weights of equations.md G1.

    Args:
        inputs: Inputs of the linear, any floating dtype.
        tau: Token weights, non-negative; None for 1 everywhere.

    Returns:
        fp32 sums.

    Example:
        >>> token_squares(torch.tensor([[1.0, 2.0], [3.0, 4.0]]), torch.tensor([1.0, 0.5]))
        tensor([ 5.5000, 12.0000])
    """
    if tau is None:
        return inputs.float().square().sum(0)
    real = tau != 0
    squares = inputs[real].float().square_()  # of a copy
    return squares.mul_(tau[real].float().unsqueeze(-1)).sum(0)


def running_mean_squares(
    mean: Float[Tensor, " in"], sequences: int, inputs: Float[Tensor, "tokens in"]
) -> Float[Tensor, " in"]:
    r"""Return the running mean over sequences after one more sequence, rounded as the published Wanda rounds.

    .. math:: m \leftarrow m \cdot \frac{n}{n+1} + \frac{\lVert X_j \rVert_2^2}{n+1}

    Every sequence counts alike, however long it is: tokens of short sequences weigh more.

    Source: equations.md P2; the arithmetic of the code published with arXiv 2306.11695, for batches of one sequence.

    Args:
        mean: Mean over the sequences so far, fp32.
        sequences: How many there were, n.
        inputs: Inputs of the linear over the tokens of one sequence.

    Example:
        >>> running_mean_squares(torch.tensor([4.0]), 1, torch.tensor([[1.0], [1.0]]))
        tensor([3.])
    """
    norms: Tensor = torch.linalg.vector_norm(inputs.t().float(), dim=1)  # the published layout: features by tokens
    return mean * (sequences / (sequences + 1)) + norms.pow(2) / (sequences + 1)


class SquareSums:
    """Token-weighted sums of squares; additive over batches and ranks.

    Args:
        width: Number of input features.
        device: Where the sums are kept.
    """

    def __init__(self, width: int, device: torch.device | str = "cpu") -> None:
        """Start from zero."""
        # [in + 2] float64: the sums, then token weights and sequences, so that one reduction carries all of it
        self._totals = torch.zeros(width + 2, dtype=torch.float64, device=device)

    def update(self, inputs: Float[Tensor, "batch tokens in"], tau: Float[Tensor, "batch tokens"] | None) -> None:
        """Add a batch; ``tau`` holds token weights, 0 for padding, None for 1 everywhere."""
        batch, tokens, _ = inputs.shape
        totals = self._totals[:-2]
        # One sequence at a time: its squares stay in the cache, and its sum does not depend on its neighbours.
        for index in range(batch):
            totals.add_(token_squares(inputs[index], None if tau is None else tau[index]))
        self._totals[-2].add_(batch * tokens if tau is None else tau.double().sum())
        self._totals[-1].add_(batch)

    def additive(self) -> tuple[Tensor, ...]:
        """Return the float64 totals that sum over ranks in place."""
        return (self._totals,)

    def merge(self, other: SquareSums) -> None:
        """Add what another accumulator has seen."""
        self._totals += other._totals

    def result(self) -> LayerStats:
        """Return the statistics so far, rounded to fp32."""
        tokens, sequences = self._totals[-2:].tolist()
        return LayerStats(self._totals[:-2].float(), tokens, int(sequences))


class RunningMeanSquares:
    """The published running mean, for ``selection: reference``; not additive over ranks.

    Args:
        width: Number of input features.
        device: Where the means are kept.
    """

    def __init__(self, width: int, device: torch.device | str = "cpu") -> None:
        """Start from zero."""
        self._mean = torch.zeros(width, device=device)
        self._tokens = 0
        self._sequences = 0

    def update(self, inputs: Float[Tensor, "batch tokens in"], tau: Float[Tensor, "batch tokens"] | None) -> None:
        """Add a batch; tokens of weight 0 are left out, any other weight counts as 1, as published."""
        for index in range(inputs.shape[0]):
            sequence = inputs[index] if tau is None else inputs[index][tau[index] != 0]
            self._mean = running_mean_squares(self._mean, self._sequences, sequence)
            self._tokens += sequence.shape[0]
            self._sequences += 1

    def additive(self) -> tuple[Tensor, ...]:
        """Return nothing: a running mean depends on the order."""
        return ()

    def result(self) -> LayerStats:
        """Return the statistics so far, with ``mean_squares``."""
        return LayerStats(self._mean * self._sequences, float(self._tokens), self._sequences, self._mean)
