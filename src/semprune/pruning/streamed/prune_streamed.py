"""Prunes a streamed model into a folder: one block's weights in memory at a time, each finished block on the disk."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from semprune.backbones.blocks.runner import calibrating
from semprune.backbones.streamed import StreamedModel
from semprune.io.bits import pack_bits
from semprune.io.tensor_files import write_safetensors
from semprune.pruning.masks.file import MASKS, write_mask_file
from semprune.pruning.streamed.memory_estimate import return_free_memory
from semprune.pruning.streamed.output_folder import OutputFolder
from semprune.pruning.streamed.pruners import StreamedPruner
from semprune.pruning.streamed.weights_folder import (
    FORMAT,
    OutsideBlocks,
    complete_folder,
    read_stored,
    stored_names,
    write_block,
)
from semprune.pruning.weights.linear import check_parameters, prunable_linears


def prune_streamed(
    streamed: StreamedModel,
    pruner: StreamedPruner,
    output: OutputFolder,
    header: Mapping[str, Any],
    *,
    masks_only: bool = False,
    on_block: Callable[[int], None] | None = None,
) -> None:
    """Prune what is not finished yet and write the folder, all but its provenance.

    Killed at any point and called again, it goes on after the last finished block and ends with the same bytes.

    Args:
        streamed: The model.
        pruner: How its blocks are pruned.
        output: The folder, held by this process.
        header: What is stored with the masks: fingerprint, method, settings, calibration.
        masks_only: Write masks and no weights.
        on_block: Called with the number of finished blocks after each.

    Raises:
        OutputWriteError: There is no room or no permission; finished blocks are kept.
        NonFiniteError: A weight or an activation is NaN or infinite; names it.
        BackboneLoadError: A file of weights is damaged.
    """
    first, count = len(output.blocks), len(streamed.blocks)
    with output.writing(output.path), calibrating(streamed.model):
        if first == 0:
            OutsideBlocks(streamed).check_finite()
        if first < count:
            pruner.start(first)
        for block in range(first, count):
            about = _prune_block(streamed, pruner, output, block, masks_only=masks_only)
            pruner.settle(block)
            output.finish_block(about)
            pruner.drop(block)
            return_free_memory()
            if on_block is not None:
                on_block(block + 1)
        _write_masks(streamed, output, header)
        if not masks_only:
            complete_folder(streamed, output)


def _prune_block(
    streamed: StreamedModel, pruner: StreamedPruner, output: OutputFolder, block: int, *, masks_only: bool
) -> dict[str, Any]:
    """Write the files of one block, and return what its record says."""
    linears = prunable_linears(streamed.model)[block]
    with streamed.block(block) as module:
        check_parameters(module, linears, f"{streamed.family.layers}.{block}.")
        pruned = pruner.prune(block, linears)
        bits = {name: pack_bits(mask) for name, mask in pruned.masks.items()}
        write_safetensors(_part(output, "masks", block), bits, {})
        if pruned.orders:
            write_safetensors(_part(output, "orders", block), pruned.orders, FORMAT)
        if not masks_only:
            write_block(output, block, len(streamed.blocks), streamed.export_block(block))
    return {"sparsity": pruned.sparsity, "patterned": pruned.patterned}


def _write_masks(streamed: StreamedModel, output: OutputFolder, header: Mapping[str, Any]) -> None:
    """Put the masks of all blocks into one file, with the column orders and patterns that there are."""
    linears = prunable_linears(streamed.model)
    block_of = {linear.name: block for block, inside in linears.items() for linear in inside}
    shapes = {linear.name: tuple(linear.stored.shape) for inside in linears.values() for linear in inside}
    parts = [_part(output, "orders", block) for block in linears]
    orders = {name: read_stored(part, name).tolist() for part in parts if part.is_file() for name in stored_names(part)}
    patterned = {name: holds for block in output.blocks for name, holds in block["patterned"].items()}
    measured = {"orders": orders, "patterned": patterned}
    whole = {**header, **{name: values for name, values in measured.items() if values}}
    write_mask_file(
        output.path / MASKS, shapes, lambda name: read_stored(_part(output, "masks", block_of[name]), name), whole
    )


def _part(output: OutputFolder, what: str, block: int) -> Path:
    return output.work / f"{what}-{block:05d}.safetensors"
