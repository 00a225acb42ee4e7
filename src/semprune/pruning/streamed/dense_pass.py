"""One pass over a streamed model's dense blocks, before any is pruned: what each matrix reads there."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from semprune.backbones.streamed import StreamedModel
from semprune.errors import UnroutedExpertError
from semprune.pruning.calibration import CalibrationTokens
from semprune.pruning.guidance.guide import with_guides
from semprune.pruning.settings import PruneSettings
from semprune.pruning.statistics.gathering import Gatherer
from semprune.pruning.streamed.hidden_states import StreamedInputs
from semprune.pruning.streamed.memory_estimate import return_free_memory
from semprune.pruning.streamed.output_folder import OutputFolder
from semprune.pruning.streamed.protected import StreamedGuide
from semprune.pruning.weights.linear import PrunableLinear, check_finite, prunable_linears
from semprune.types import LayerStats


def dense_pass(
    streamed: StreamedModel,
    tokens: CalibrationTokens,
    settings: PruneSettings,
    output: OutputFolder,
    guided: Callable[[Path], Sequence[StreamedGuide]] = lambda _: (),
) -> Iterator[tuple[Sequence[PrunableLinear], Mapping[str, LayerStats]]]:
    """Yield the matrices of each block, whose weights are in memory then, and the squares of what they read.

    What is to be kept adds to them, where ``guided`` makes its text ready in a folder.

    At the end it refuses all experts together that no token was routed to, unless the settings keep them; those have no
    statistics.

    Raises:
        NonFiniteError: A weight or an activation is NaN or infinite; names the matrix.
        UnroutedExpertError: No token was routed to some experts, and they are not kept.
    """
    folder = output.work / "dense"
    folder.mkdir(exist_ok=True)
    gatherer = Gatherer("squares", settings.selection, tokens.input_ids.shape[0], keep_unrouted=True)
    inputs = StreamedInputs(streamed, tokens, settings, folder, 0)
    guides = guided(folder)
    unrouted: list[str] = []
    for block, linears in prunable_linears(streamed.model).items():
        with streamed.block(block):
            check_finite(linears)
            advance = not inputs.is_last(block)
            stats = gatherer.gather(inputs.runner, block, linears, inputs.tokens.tau, advance=advance)
            unrouted += [linear.name for linear in linears if linear.name not in stats]
            yield linears, with_guides([each.guide for each in guides], stats, block, linears, advance=advance)
        for each in (inputs, *(guide.inputs for guide in guides)):
            each.settle(block)
            each.drop(block)
        return_free_memory()
    shutil.rmtree(folder)
    if unrouted and not settings.keeps_unrouted:
        raise UnroutedExpertError(unrouted)


def check_routing(
    streamed: StreamedModel, tokens: CalibrationTokens, settings: PruneSettings, output: OutputFolder
) -> None:
    """Refuse, before the first block is pruned, a calibration that leaves an expert without a token.

    Only a model with experts is run. Pruning the blocks before it may still turn a router away from an expert: such
    late ones are found when their block is reached.

    Raises:
        NonFiniteError: A weight or an activation is NaN or infinite; names the matrix.
        UnroutedExpertError: No token was routed to some experts of the dense model; names them all.
    """
    linears = prunable_linears(streamed.model).values()
    if settings.keeps_unrouted or not any(linear.matrix.expert is not None for block in linears for linear in block):
        return
    for _ in dense_pass(streamed, tokens, settings, output):
        pass
