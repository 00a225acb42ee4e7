"""Prunes one decoder block: gathers what its matrices read, decides, writes in place, and runs it again.

It knows matrices and hidden states, not the model they come from: a model that is in memory and one that is streamed
block by block are pruned by the same piece.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from semprune.backbones.blocks.runner import BlockRunner
from semprune.errors import EmptyMatrixError
from semprune.pruning.calibration import TokenWeights
from semprune.pruning.guidance.guide import Guide, with_guides
from semprune.pruning.method import Decision, Method
from semprune.pruning.report import PruneReport, count_empty_rows
from semprune.pruning.selection.keep import Keep
from semprune.pruning.selection.pattern import Pattern
from semprune.pruning.settings import PruneSettings
from semprune.pruning.statistics.gathering import Gatherer
from semprune.pruning.weights.linear import PrunableLinear
from semprune.types import LayerStats

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class PrunedBlocks:
    """What the pruning of one block, or of several, did.

    Attributes:
        masks: True where a weight is kept, in the stored orientation, on the CPU, by module name.
        sparsity: Measured share of zeros of each matrix, by module name.
        orders: Of matrices whose columns were reordered for their pattern: the columns (inputs) in the order in which
            the pattern holds, on the CPU, by module name.
        patterned: Whether the asked N:M pattern holds in the mask as it is stored (inputs in their own order), by
            module name; empty where none was asked.
        empty_rows: Output rows of which nothing is kept, by module name, where there are any.
    """

    masks: dict[str, Bool[Tensor, "rows columns"]] = field(default_factory=dict)
    sparsity: dict[str, float] = field(default_factory=dict)
    orders: dict[str, Int[Tensor, " in"]] = field(default_factory=dict)
    patterned: dict[str, bool] = field(default_factory=dict)
    empty_rows: dict[str, int] = field(default_factory=dict)

    def add(self, other: PrunedBlocks) -> None:
        """Take in what another block's pruning did."""
        for name in ("masks", "sparsity", "orders", "patterned", "empty_rows"):
            getattr(self, name).update(getattr(other, name))

    def report(self, method: str, settings: Mapping[str, Any], calibration: str | None) -> PruneReport:
        """Return what was done together with how."""
        if self.empty_rows:
            count, matrices = sum(self.empty_rows.values()), len(self.empty_rows)
            logger.warning("%s left %d output rows in %d matrices without a weight", method, count, matrices)
        measured = (self.orders, self.patterned, self.empty_rows)
        return PruneReport(method, settings, self.masks, self.sparsity, calibration, *measured)

    def record(self, linear: PrunableLinear, decision: Decision, pattern: Pattern | None) -> None:
        """Write one decision in place and take it down.

        Raises:
            EmptyMatrixError: No weight would be left; nothing is written.
        """
        if (empty := count_empty_rows(decision.kept)) == decision.kept.shape[0]:
            raise EmptyMatrixError(linear.name)
        if decision.weight is not None:
            linear.write(linear.orient(decision.weight))
        kept = linear.orient(decision.kept).contiguous()
        linear.keep(kept)
        self.masks[linear.name] = kept.cpu()
        self.sparsity[linear.name] = linear.measured_sparsity()
        if decision.order is not None:
            self.orders[linear.name] = decision.order.cpu()
        if empty:
            self.empty_rows[linear.name] = empty
        if pattern is not None:
            self.patterned[linear.name] = pattern.fits(decision.kept)


class BlockPruner:
    """Prunes one block after the other, each from the hidden states that its runner holds.

    Use it inside :func:`semprune.backbones.blocks.runner.calibrating`.

    Args:
        method: A pruning method.
        settings: How to prune, checked by :func:`semprune.pruning.settings.check_settings`.
        sequences: Calibration sequences that all ranks together run.
        shared: Whether each rank runs its own share of them, so that statistics are summed over ranks.
        allocation: Sparsity of each matrix, by its name; None for the settings' own everywhere.
        guides: What is to be kept: each adds to the statistics.
        outputs: What hangs on each output, by the matrix's name: rows of these share the sparsity.
    """

    def __init__(
        self,
        method: Method,
        settings: PruneSettings,
        sequences: int = 0,
        *,
        shared: bool = False,
        allocation: Mapping[str, float] | None = None,
        guides: Sequence[Guide] = (),
        outputs: Mapping[str, Float[Tensor, " out"]] | None = None,
    ) -> None:
        """Nothing is run yet."""
        self.outputs = outputs or {}
        self._guides = tuple(guides)
        self._method = method
        self._keep = settings.keep
        self.allocation = allocation
        self._sequential = settings.statistics == "sequential"
        self._gatherer = None
        if method.needs_statistics:
            kept = settings.keeps_unrouted
            self._gatherer = Gatherer(method.needs, settings.selection, sequences, shared=shared, keep_unrouted=kept)

    def prune(
        self,
        runner: BlockRunner,
        index: int,
        linears: Sequence[PrunableLinear],
        tau: TokenWeights | None = None,
        *,
        advance: bool,
    ) -> PrunedBlocks:
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
            dense = advance and not self._sequential
            stats = self._gatherer.gather(runner, index, linears, tau, advance=dense)
            stats = with_guides(self._guides, stats, index, linears, advance=dense)
        pruned = self.decide(linears, stats)
        if advance and self._sequential:
            for each in (runner, *(guide.runner for guide in self._guides)):
                each.run(index, advance=True)
        return pruned

    def decide(self, linears: Sequence[PrunableLinear], stats: Mapping[str, LayerStats]) -> PrunedBlocks:
        """Prune matrices in place, given their statistics (none for a method that reads none).

        With a method that reads statistics, a matrix without any is an expert without a token: it stays whole.

        Raises:
            EmptyMatrixError: A matrix would be left without a weight; it is not changed.
        """
        pruned = PrunedBlocks()
        for together in _by_input(linears, stats):
            named = {linear.name: linear for linear in together}
            weights = {name: linear.weight for name, linear in named.items()}
            keeps = {name: self._keep_of(linear) for name, linear in named.items()}
            if self._method.needs_statistics and together[0].name not in stats:
                pruned.record(together[0], _whole(together[0]), self._keep.pattern)
                continue
            for name, decision in self._method.prune_together(weights, stats.get(together[0].name), keeps):
                pruned.record(named[name], decision, self._keep.pattern)
        return pruned

    def _keep_of(self, linear: PrunableLinear) -> Keep:
        keep, outputs = self._keep, self.outputs.get(linear.name)
        if self.allocation is not None:
            keep = replace(keep, sparsity=self.allocation[linear.name])
        return keep if outputs is None else replace(keep, outputs=outputs)


def _whole(linear: PrunableLinear) -> Decision:
    logger.warning("%s stays whole: no calibration token was routed to it", linear.name)
    return Decision(torch.ones_like(linear.weight, dtype=torch.bool))


def _by_input(linears: Iterable[PrunableLinear], stats: Mapping[str, LayerStats]) -> list[list[PrunableLinear]]:
    """Return the matrices, those together that share their statistics; without any, each by itself."""
    groups: dict[int | str, list[PrunableLinear]] = defaultdict(list)
    for linear in linears:
        groups[id(stats[linear.name]) if linear.name in stats else linear.name].append(linear)
    return list(groups.values())
