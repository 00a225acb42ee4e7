"""Gathers what the matrices of one block read: one pass of the block; what the ranks of a run share."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
import torch.distributed as dist
from torch import Tensor

from semprune.backbones.blocks.runner import BlockRunner
from semprune.errors import MaskMismatchError
from semprune.io.distributed import gather_rows, rank, sum_over_ranks
from semprune.pruning.calibration import TokenWeights, weights_of
from semprune.pruning.method import Needs
from semprune.pruning.statistics.block_statistics import BlockStatistics
from semprune.pruning.statistics.second_moments import RunningSecondMoments, SecondMoments
from semprune.pruning.statistics.squares import Accumulator, RunningMeanSquares, SquareSums
from semprune.pruning.weights.linear import PrunableLinear
from semprune.types import LayerStats


def own_batches(batches: Sequence[slice]) -> tuple[slice, ...]:
    """Return the batches of this rank: every n-th one of n ranks.

    Whole batches, since a matrix product of another batch size may round differently: each batch is computed as one
    process would compute it.
    """
    return tuple(batches[rank() :: dist.get_world_size()])


def sum_together(tensors: Sequence[Tensor]) -> None:
    """Sum tensors of one dtype over all ranks, in place: vectors in one message, each matrix in its own.

    A matrix of second moments may be a gigabyte: copying all of them into one message would double it.
    """
    vectors = [tensor for tensor in tensors if tensor.ndim == 1]
    if vectors:
        flat = torch.cat(vectors)
        sum_over_ranks(flat)
        for tensor, total in zip(vectors, torch.split(flat, [len(vector) for vector in vectors]), strict=True):
            tensor.copy_(total)
    for tensor in tensors:
        if tensor.ndim > 1:
            sum_over_ranks(tensor)


def require_equal_masks(mask_hash: str, device: torch.device) -> None:
    """Compare the masks' sha256 over ranks.

    Raises:
        MaskMismatchError: They differ; on every rank alike.
    """
    own = torch.tensor([list(bytes.fromhex(mask_hash))], dtype=torch.uint8, device=device)  # [1, 32]
    hashes = [bytes(row).hex() for row in gather_rows(own).tolist()]
    if len(set(hashes)) > 1:
        raise MaskMismatchError(hashes)


ACCUMULATORS: dict[tuple[Needs, str], Callable[[int, torch.device], Accumulator]] = {
    ("squares", "exact"): SquareSums,
    ("squares", "reference"): RunningMeanSquares,
    ("second_moments", "exact"): SecondMoments,
    ("second_moments", "reference"): RunningSecondMoments,
}


class Gatherer:
    """Runs one block after the other and returns the statistics of what their matrices read.

    Use it inside :func:`semprune.backbones.blocks.runner.calibrating`.

    Args:
        needs: Which statistics: ``squares`` or ``second_moments``.
        selection: ``exact`` (sums over all tokens) or ``reference`` (the published running means).
        sequences: Calibration sequences that all ranks together run.
        shared: Whether each rank runs its own share of them, so that statistics are summed over ranks.
        keep_unrouted: Leave experts that no token is routed to without statistics, instead of refusing them.
    """

    def __init__(
        self, needs: Needs, selection: str, sequences: int, *, shared: bool = False, keep_unrouted: bool = False
    ) -> None:
        """Nothing is run yet."""
        self._keep_unrouted = keep_unrouted
        self._accumulator = ACCUMULATORS[needs, selection]
        self._sequences = sequences
        self._shared = shared

    def gather(
        self,
        runner: BlockRunner,
        index: int,
        linears: Sequence[PrunableLinear],
        tau: TokenWeights | None = None,
        *,
        advance: bool,
    ) -> dict[str, LayerStats]:
        """Run one block as it is and return the statistics by module name; matrices that read one tensor share them.

        Args:
            runner: Holds the block's inputs.
            index: The block, as the runner counts.
            linears: Its matrices, in the order of the computation.
            tau: Weight of each token of the runner's sequences, 0 for padding; None where every weight is 1.
                Of each matrix by its name, where these differ.
            advance: Leave the block's outputs in the runner.

        Raises:
            CaptureError: A matrix did not see every sequence once.
            NonFiniteError: An input held NaN or infinity at a token that counts.
            UnroutedExpertError: No token that counts was routed to an expert, and such experts are not kept.
        """
        gathered = BlockStatistics(linears, self._accumulator)
        with gathered.gathering(outputs_dropped=not advance) as begin:

            def on_batch(batch: slice) -> None:
                length = runner.length(batch)
                begin((batch.stop - batch.start, length), weights_of(tau, (batch, slice(0, length))))

            runner.run(index, advance=advance, on_batch=on_batch)
        if self._shared:
            sum_together(gathered.additive())
        return gathered.results(self._sequences, keep_unrouted=self._keep_unrouted)
