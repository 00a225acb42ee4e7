"""Carries the text of what is to be kept through a model, beside the calibration, and adds it to the statistics."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from semprune.backbones.blocks.runner import BlockRunner
from semprune.pruning.calibration import TokenWeights
from semprune.pruning.statistics.combined import combined
from semprune.pruning.statistics.gathering import Gatherer
from semprune.pruning.weights.linear import PrunableLinear
from semprune.types import LayerStats


@dataclass(frozen=True, slots=True)
class Guide:
    """What is to be kept, on its way through a model.

    Attributes:
        runner: Holds the inputs of the next block.
        tau: Weights of the tokens, for each matrix its own; None where every weight is 1.
        gatherer: Runs a block and gathers the statistics that the method reads.
        strength: How much they count.
    """

    runner: BlockRunner
    tau: TokenWeights | None
    gatherer: Gatherer
    strength: float


def with_guides(
    guides: Iterable[Guide],
    stats: Mapping[str, LayerStats],
    index: int,
    linears: Sequence[PrunableLinear],
    *,
    advance: bool,
) -> Mapping[str, LayerStats]:
    """Return one block's statistics with those of what is to be kept in them.

    Args:
        guides: What is to be kept; without any, the statistics are returned as they are.
        stats: Of general text, by the matrix's name.
        index: The block.
        linears: Its matrices.
        advance: Leave the block's outputs in the guides' runners.
    """
    for guide in guides:
        kept = guide.gatherer.gather(guide.runner, index, linears, guide.tau, advance=advance)
        stats = {
            name: combined(general, kept[name], guide.strength) if name in kept else general
            for name, general in stats.items()
        }
    return stats
