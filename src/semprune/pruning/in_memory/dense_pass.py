"""One pass over the dense model: statistics of all its matrices, and what OWL makes of them."""

from __future__ import annotations

from collections.abc import Mapping

from torch import nn

from semprune.pruning.calibration import CalibrationTokens
from semprune.pruning.in_memory.blockwise import Blocks, BlockwiseRun
from semprune.pruning.method import Needs
from semprune.pruning.methods.wanda import wanda_score
from semprune.pruning.selection.allocation import OWL, outlier_share, owl_sparsities
from semprune.pruning.settings import PruneSettings
from semprune.pruning.statistics.gathering import Gatherer
from semprune.types import LayerStats


def collect(
    model: nn.Module,
    blocks: Blocks,
    tokens: CalibrationTokens,
    settings: PruneSettings,
    needs: Needs,
    *,
    distributed: bool,
) -> dict[str, LayerStats]:
    """Return dense statistics of all matrices, by module name; inside ``calibrating``."""
    run = BlockwiseRun.start(model, tokens, settings, distributed=distributed)
    gatherer = Gatherer(needs, settings.selection, run.sequences, shared=run.shared)
    found: dict[str, LayerStats] = {}
    for index, linears in blocks.items():
        found |= gatherer.gather(run.runner, index, linears, run.tau, advance=index + 1 < len(blocks))
    return found


def allocate(blocks: Blocks, stats: Mapping[str, LayerStats], sparsity: float, owl: OWL) -> dict[int, float]:
    """Return the sparsity of each block by OWL, from dense statistics.

    Raises:
        SettingError: A block's sparsity would be outside [0, 1).
    """
    shares, sizes = [], []
    for linears in blocks.values():
        scores = (wanda_score(linear.weight, stats[linear.name]) for linear in linears)
        shares.append(outlier_share(scores, owl.multiple))
        sizes.append(sum(linear.weight.numel() for linear in linears))
    return dict(zip(blocks, owl_sparsities(shares, sizes, sparsity, owl.spread), strict=True))
