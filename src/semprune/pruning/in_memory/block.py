"""Prunes one decoder block: gathers what its matrices read, decides, writes in place, and runs it again.

It knows matrices and hidden states, not the model they come from: a model that is in memory and one that is streamed
block by block are pruned by the same piece.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from jaxtyping import Float
from torch import Tensor

from semprune.backbones.blocks.runner import BlockRunner
from semprune.pruning.in_memory.block_outcome import BlockOutcome
from semprune.pruning.method import Method
from semprune.pruning.selection.keep import Keep
from semprune.pruning.settings import PruneSettings
from semprune.pruning.statistics.gathering import Gatherer
from semprune.pruning.weights.linear import PrunableLinear
from semprune.types import LayerStats


class BlockPruner:
    """Prunes one block after the other, each from the hidden states that its runner holds.

    Use it inside :func:`semprune.backbones.blocks.runner.calibrating`.

    Args:
        method: A pruning method.
        settings: How to prune, checked by :func:`semprune.pruning.settings.check_settings`.
        sequences: Calibration sequences that all ranks together run.
        shared: Whether each rank runs its own share of them, so that statistics are summed over ranks.
        allocation: Sparsity of each block, by its number in the model; None for the settings' own everywhere.
    """

    def __init__(
        self,
        method: Method,
        settings: PruneSettings,
        sequences: int = 0,
        *,
        shared: bool = False,
        allocation: Mapping[int, float] | None = None,
    ) -> None:
        """Nothing is run yet."""
        self._method = method
        self._keep = settings.keep
        self._allocation = allocation
        self._sequential = settings.statistics == "sequential"
        self._gatherer = None
        if method.needs_statistics:
            self._gatherer = Gatherer(method.needs, settings.selection, sequences, shared=shared)

    def prune(
        self,
        runner: BlockRunner,
        index: int,
        linears: Sequence[PrunableLinear],
        tau: Float[Tensor, "sequences tokens"] | None = None,
        *,
        advance: bool,
    ) -> BlockOutcome:
        """Gather, decide and write one block.

        Args:
            runner: Holds the block's inputs.
            index: The block, as the runner counts.
            linears: The block's matrices, in the order of the computation.
            tau: Weight of each token of the runner's sequences, 0 for padding; None where every weight is 1.
            advance: Leave the next block's inputs in the runner: outputs of the pruned block where statistics are
                sequential, of the dense one where they are dense. False for the last block: nobody needs its outputs.

        Raises:
            CaptureError: A matrix did not see every sequence once.
            NonFiniteError: An input held NaN or infinity at a token that counts; nothing of this block is changed.
            NotPositiveDefiniteError: The method inverts second moments that have no inverse; names the matrix.
        """
        stats: Mapping[str, LayerStats] = {}
        if self._gatherer is not None:
            stats = self._gatherer.gather(runner, index, linears, tau, advance=advance and not self._sequential)
        outcome = self.decide(linears, stats)
        if advance and self._sequential:
            runner.run(index, advance=True)
        return outcome

    def decide(self, linears: Sequence[PrunableLinear], stats: Mapping[str, LayerStats]) -> BlockOutcome:
        """Prune matrices in place, given their statistics (none for a method that reads none).

        Raises:
            EmptyMatrixError: A matrix would be left without a weight; it is not changed.
        """
        outcome = BlockOutcome()
        for together in _by_input(linears, stats):
            named = {linear.name: linear for linear in together}
            weights = {name: linear.weight for name, linear in named.items()}
            keep = self._keep_of(together[0].matrix.layer)
            for name, decision in self._method.prune_together(weights, stats.get(together[0].name), keep):
                outcome.record(named[name], decision, keep.pattern)
        return outcome

    def _keep_of(self, block: int) -> Keep:
        return self._keep if self._allocation is None else replace(self._keep, sparsity=self._allocation[block])


def _by_input(linears: Iterable[PrunableLinear], stats: Mapping[str, LayerStats]) -> list[list[PrunableLinear]]:
    """Return the matrices, those together that share their statistics; without any, each by itself."""
    groups: dict[int | str, list[PrunableLinear]] = defaultdict(list)
    for linear in linears:
        groups[id(stats[linear.name]) if linear.name in stats else linear.name].append(linear)
    return list(groups.values())
