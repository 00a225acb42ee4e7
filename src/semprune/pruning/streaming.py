"""Prunes a streamed model into a folder: one block's weights in memory at a time, each finished block on the disk."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from safetensors import safe_open
from torch import Tensor

from semprune.backbones.blocks import calibrating
from semprune.backbones.outside import OutsideBlocks
from semprune.backbones.streamed import StreamedModel
from semprune.files import atomic, write_json, write_text
from semprune.pruning.linear import check_finite, prunable_linears
from semprune.pruning.mask_file import Bits, write_mask_file
from semprune.pruning.masks import pack_bits
from semprune.pruning.output import PROVENANCE, OutputFolder
from semprune.pruning.steps import BlockSteps
from semprune.tensor_files import storage_order, stream_safetensors, write_safetensors

MASKS = "masks.safetensors"
INDEX = "model.safetensors.index.json"
FORMAT = {"format": "pt"}
"""What transformers looks for in a file of weights."""


def prune_streamed(
    streamed: StreamedModel,
    steps: BlockSteps,
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
        steps: How its blocks are pruned.
        output: The folder, held by this process.
        header: What is stored with the masks: fingerprint, method, settings, calibration.
        masks_only: Write masks and no weights.
        on_block: Called with the number of finished blocks after each.

    Raises:
        OutputWriteError: There is no room or no permission; finished blocks are kept.
        NonFiniteError: A weight or an activation is NaN or infinite; names the matrix.
        BackboneLoadError: A file of weights is damaged.
    """
    linears = prunable_linears(streamed.model)
    first, count = len(output.blocks), len(streamed.blocks)
    with output.writing(output.path), calibrating(streamed.model):
        if first < count:
            steps.start(first)
        for block in range(first, count):
            with streamed.block(block):
                check_finite(linears[block])
                outcome = steps.prune(block, linears[block])
                bits = {name: pack_bits(mask) for name, mask in outcome.masks.items()}
                write_safetensors(_masks_of(output, block), bits, {})
                if not masks_only:
                    _write_shard(_shard(output, block, count), streamed.export_block(block))
            steps.settle(block)
            output.finish_block({"sparsity": outcome.sparsity})
            steps.drop(block)
            if on_block is not None:
                on_block(block + 1)
        _write_masks(streamed, output, header)
        if not masks_only:
            _complete_folder(streamed, output)


def _write_shard(path: Path, tensors: Mapping[str, Tensor]) -> None:
    layout = {name: (tensor.dtype, tuple(tensor.shape)) for name, tensor in tensors.items()}
    stream_safetensors(path, layout, ((name, tensors[name]) for name in storage_order(layout)), FORMAT)


def _write_masks(streamed: StreamedModel, output: OutputFolder, header: Mapping[str, Any]) -> None:
    """Put the masks of all blocks into one file."""
    linears = prunable_linears(streamed.model)
    block_of = {linear.name: block for block, inside in linears.items() for linear in inside}
    shapes = {linear.name: tuple(linear.stored.shape) for inside in linears.values() for linear in inside}

    def read(name: str) -> Bits:
        with safe_open(_masks_of(output, block_of[name]), framework="pt", backend="pread") as file:
            bits: Tensor = file.get_tensor(name)
        return bits

    write_mask_file(output.path / MASKS, shapes, read, header)


def _complete_folder(streamed: StreamedModel, output: OutputFolder) -> None:
    """Write what is outside the blocks, the index, the tokenizer's files, and last the configuration."""
    count = len(streamed.blocks)
    outside = OutsideBlocks(streamed)
    rest = ((name, outside.read(name)) for name in storage_order(outside.layout))
    stream_safetensors(_shard(output, count, count), outside.layout, rest, FORMAT)
    _write_index(output, [_shard(output, block, count) for block in range(count + 1)])
    for path in (path for path in streamed.companions() if path.name != PROVENANCE):  # a pruned model pruned again
        with atomic(output.path / path.name) as temporary:
            shutil.copyfile(path, temporary)
    write_text(output.path / "config.json", streamed.configuration())


def _write_index(output: OutputFolder, shards: list[Path]) -> None:
    weight_map: dict[str, str] = {}
    total = 0
    for shard in shards:
        with safe_open(shard, framework="pt", backend="pread") as file:
            weight_map |= dict.fromkeys(file.keys(), shard.name)
        with shard.open("rb") as stream:
            total += shard.stat().st_size - 8 - int.from_bytes(stream.read(8), "little")
    write_json(output.path / INDEX, {"metadata": {"total_size": total}, "weight_map": weight_map})


def _shard(output: OutputFolder, number: int, blocks: int) -> Path:
    return output.path / f"model-{number + 1:05d}-of-{blocks + 1:05d}.safetensors"


def _masks_of(output: OutputFolder, block: int) -> Path:
    return output.work / f"masks-{block:05d}.safetensors"
