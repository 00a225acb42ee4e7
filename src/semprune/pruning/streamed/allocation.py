"""OWL for a streamed model: one pass over its dense blocks, of which one number each is kept."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from semprune.backbones.streamed import StreamedModel
from semprune.io.files import write_json
from semprune.pruning.calibration import CalibrationTokens
from semprune.pruning.methods.wanda import wanda_score
from semprune.pruning.selection.allocation import OWL, outlier_share, owl_sparsities
from semprune.pruning.settings import PruneSettings
from semprune.pruning.streamed.dense_pass import dense_pass
from semprune.pruning.streamed.output_folder import OutputFolder
from semprune.pruning.streamed.protected import StreamedGuide
from semprune.pruning.weights.linear import PrunableLinear, prunable_linears
from semprune.types import LayerStats


def streamed_allocation(
    streamed: StreamedModel,
    tokens: CalibrationTokens,
    settings: PruneSettings,
    owl: OWL,
    output: OutputFolder,
    guided: Callable[[Path], Sequence[StreamedGuide]],
) -> dict[str, float]:
    """Return the sparsity of each matrix, by OWL; taken from the work folder where an earlier call of the run left it.

    Source: arXiv 2310.05175, as :func:`semprune.pruning.in_memory.dense_statistics.allocate`.

    Raises:
        SettingError: A block's sparsity would be outside [0, 1).
        NonFiniteError: A weight or an activation is NaN or infinite; names the matrix.
        UnroutedExpertError: No token was routed to some experts, and they are not kept.
    """
    kept = output.work / "allocation.json"
    if not kept.is_file():
        passed = dense_pass(streamed, tokens, settings, output, guided)
        shares = [_outlier_share(linears, stats, owl) for linears, stats in passed]
        linears = prunable_linears(streamed.model)
        sizes = [sum(linear.stored.numel() for linear in inside) for inside in linears.values()]
        found = owl_sparsities(shares, sizes, settings.keep.sparsity, owl.spread)
        own = zip(linears.values(), found, strict=True)
        write_json(kept, {linear.name: sparsity for inside, sparsity in own for linear in inside})
    stored: dict[str, float] = json.loads(kept.read_text(encoding="utf-8"))
    return stored


def _outlier_share(linears: Sequence[PrunableLinear], stats: Mapping[str, LayerStats], owl: OWL) -> float:
    seen = (linear for linear in linears if linear.name in stats)  # all but experts without a token
    return outlier_share((wanda_score(linear.weight, stats[linear.name]) for linear in seen), owl.multiple)
