"""Structured pruning: whole MLP neurons are taken out, and the matrices and the saved model really shrink."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from jaxtyping import Float, Int
from torch import Tensor, nn

from semprune.backbones.blocks.runner import calibrating
from semprune.backbones.layout import family_of
from semprune.errors import NeuronRemovalError
from semprune.io.bits import hash_masks
from semprune.pruning.calibration import CalibrationTokens, check_calibration, hash_calibration
from semprune.pruning.in_memory.calibration_pass import Blocks, CalibrationPass, checked_blocks, vocabulary
from semprune.pruning.removal.block_neurons import BlockNeurons
from semprune.pruning.selection.keep import pruned_count, select_lowest
from semprune.pruning.settings import PruneSettings, check_pass
from semprune.pruning.statistics.gathering import Gatherer, require_equal_masks
from semprune.ranges import checked
from semprune.types import Count, Sparsity

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class RemovalReport:
    """What a removal of neurons did.

    Attributes:
        settings: Its settings (plain values).
        kept: Neurons that stayed, of each decoder block, as indices into the dense block's neurons.
        width: Neurons of each block before.
        parameters_removed: Weights and biases that are gone.
        calibration: sha256 of the calibration's token ids.
    """

    settings: Mapping[str, Any]
    kept: Mapping[int, Int[Tensor, " kept"]]
    width: int
    parameters_removed: int
    calibration: str


@checked
def remove_neurons(
    model: nn.Module,
    input_ids: Int[Tensor, "sequences tokens"],
    *,
    sparsity: Sparsity,
    multiple_of: Count = 1,
    attention_mask: Int[Tensor, "sequences tokens"] | None = None,
    statistics: str = PruneSettings.statistics,
    batch_size: Count = PruneSettings.batch_size,
    token_weights: Float[Tensor, "sequences tokens"] | None = None,
    distributed: bool = False,
) -> RemovalReport:
    """Take the neurons of least worth out of every MLP, in place: gate, up and down shrink, and the configuration too.

    ``save_pretrained`` then writes the smaller model, which ``from_pretrained`` loads. Every block loses the same
    number, since a configuration has one width. Parameters are new objects: make optimizers after this call.

    Source: ours; worth is the sum of Wanda's scores, see
        :meth:`semprune.pruning.removal.block_neurons.BlockNeurons.scores`.

    Args:
        model: A Hugging Face causal language model of a known family, with one MLP per block.
        input_ids: Calibration sequences.
        sparsity: Share of each block's neurons to remove, in [0, 1).
        multiple_of: The width that stays is rounded up to a multiple of this, which hardware may want.
        attention_mask: As in :func:`semprune.pruning.in_memory.prune_model.prune_model`, like all that follows.
        statistics: ``sequential`` or ``dense``.
        batch_size: Sequences per forward.
        token_weights: Weights of the tokens.
        distributed: Whether every rank makes this call with the same sequences.

    Raises:
        NeuronRemovalError: The model is not built so that its MLPs can shrink; nothing is changed.
        SempruneError: As :func:`semprune.pruning.in_memory.prune_model.prune_model` raises.
    """
    settings = PruneSettings(sparsity, "exact", statistics, batch_size)
    check_pass(settings)
    blocks = checked_blocks(model, settings)
    neurons = _uniform(model, blocks)
    width = next(iter(neurons.values())).width
    setting = _width_setting(model, width)
    tokens = check_calibration(input_ids, attention_mask, token_weights, vocabulary(model))
    before = sum(parameter.numel() for parameter in model.parameters())
    count = min(width, -(-(width - pruned_count(sparsity, width)) // multiple_of) * multiple_of)
    with calibrating(model):
        kept = _remove(model, blocks, neurons, count, settings, tokens, distributed)
    _state_width(model, setting, neurons.values(), count)
    removed = before - sum(parameter.numel() for parameter in model.parameters())
    recorded = {"sparsity": sparsity, "multiple_of": multiple_of, "statistics": statistics, "batch_size": batch_size}
    return RemovalReport(recorded, kept, width, removed, hash_calibration(tokens.input_ids, tokens.tau))


def _remove(
    model: nn.Module,
    blocks: Blocks,
    neurons: Mapping[int, BlockNeurons],
    count: int,
    settings: PruneSettings,
    tokens: CalibrationTokens,
    distributed: bool,
) -> dict[int, Tensor]:
    run = CalibrationPass.start(model, tokens, settings, distributed=distributed)
    gatherer = Gatherer("squares", settings.selection, run.sequences, shared=run.shared)
    sequential = settings.statistics == "sequential"
    kept: dict[int, Tensor] = {}
    for index, linears in blocks.items():
        more = index + 1 < len(blocks)
        stats = gatherer.gather(run.runner, index, linears, run.tau, advance=more and not sequential)
        mlp = neurons[index]
        lowest = select_lowest(mlp.scores(stats).unsqueeze(0), mlp.width - count)[0]
        if run.shared:
            require_equal_masks(hash_masks({"neurons": ~lowest}), lowest.device)
        kept[index] = (~lowest).nonzero().squeeze(1).cpu()
        mlp.keep(kept[index])
        if more and sequential:
            run.runner.run(index, advance=True)
        logger.info("removed neurons of block %d of %d", index + 1, len(blocks))
    return kept


def _uniform(model: nn.Module, blocks: Blocks) -> dict[int, BlockNeurons]:
    architecture = type(model).__name__
    found = {index: BlockNeurons.of(linears, architecture) for index, linears in blocks.items()}
    widths = {neurons.width for neurons in found.values()}
    if len(widths) > 1:
        raise NeuronRemovalError(architecture, f"its blocks have different numbers of neurons ({sorted(widths)})")
    return found


def _width_setting(model: nn.Module, width: int) -> str:
    """Return the family's name for the number of neurons, once the configuration states it (None: as its default)."""
    name = family_of(model).width_setting
    stated = "nothing" if name is None else getattr(model.config, name, "nothing")
    if name is not None and stated in (width, None):
        return name
    wanted = "it has no setting for it" if name is None else f"{name} is {stated!r} and the blocks have {width}"
    detail = f"its configuration does not state the number of neurons ({wanted})"
    raise NeuronRemovalError(type(model).__name__, detail)


def _state_width(model: nn.Module, setting: str, neurons: Iterable[BlockNeurons], width: int) -> None:
    """Let the configuration state the width, and the MLPs that keep a copy of it."""
    setattr(model.config, setting, width)
    for block in neurons:
        mlp = model.get_submodule(block.down.matrix.module.rpartition(".")[0])
        if hasattr(mlp, setting):
            setattr(mlp, setting, width)
