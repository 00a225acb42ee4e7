"""Prunes a streamed model into a folder: one block's weights in memory at a time, each finished block on the disk."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from torch import Tensor

from semprune.backbones.blocks import calibrating
from semprune.backbones.outside import OutsideBlocks
from semprune.backbones.streamed import StreamedModel
from semprune.errors import CorruptArtefactError
from semprune.files import atomic, write_json, write_text
from semprune.pruning.linear import check_finite, prunable_linears
from semprune.pruning.mask_file import write_mask_file
from semprune.pruning.masks import pack_bits
from semprune.pruning.memory import return_free_memory
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
    first, count = len(output.blocks), len(streamed.blocks)
    with output.writing(output.path), calibrating(streamed.model):
        if first < count:
            steps.start(first)
        for block in range(first, count):
            about = _prune_block(streamed, steps, output, block, masks_only=masks_only)
            steps.settle(block)
            output.finish_block(about)
            steps.drop(block)
            return_free_memory()
            if on_block is not None:
                on_block(block + 1)
        _write_masks(streamed, output, header)
        if not masks_only:
            _complete_folder(streamed, output)


def _prune_block(
    streamed: StreamedModel, steps: BlockSteps, output: OutputFolder, block: int, *, masks_only: bool
) -> dict[str, Any]:
    """Write the files of one block, and return what its record says."""
    linears = prunable_linears(streamed.model)[block]
    with streamed.block(block):
        check_finite(linears)
        outcome = steps.prune(block, linears)
        bits = {name: pack_bits(mask) for name, mask in outcome.masks.items()}
        write_safetensors(_part(output, "masks", block), bits, {})
        if outcome.orders:
            write_safetensors(_part(output, "orders", block), outcome.orders, FORMAT)
        if not masks_only:
            _write_shard(_shard(output, block, len(streamed.blocks)), streamed.export_block(block))
    return {"sparsity": outcome.sparsity, "patterned": outcome.patterned}


def _write_shard(path: Path, tensors: Mapping[str, Tensor]) -> None:
    layout = {name: (tensor.dtype, tuple(tensor.shape)) for name, tensor in tensors.items()}
    stream_safetensors(path, layout, ((name, tensors[name]) for name in storage_order(layout)), FORMAT)


def _write_masks(streamed: StreamedModel, output: OutputFolder, header: Mapping[str, Any]) -> None:
    """Put the masks of all blocks into one file, with the column orders and patterns that there are."""
    linears = prunable_linears(streamed.model)
    block_of = {linear.name: block for block, inside in linears.items() for linear in inside}
    shapes = {linear.name: tuple(linear.stored.shape) for inside in linears.values() for linear in inside}
    parts = [_part(output, "orders", block) for block in linears]
    orders = {name: _read(part, name).tolist() for part in parts if part.is_file() for name in _names(part)}
    patterned = {name: holds for block in output.blocks for name, holds in block["patterned"].items()}
    measured = {"orders": orders, "patterned": patterned}
    whole = {**header, **{name: values for name, values in measured.items() if values}}
    write_mask_file(
        output.path / MASKS, shapes, lambda name: _read(_part(output, "masks", block_of[name]), name), whole
    )


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
        weight_map |= dict.fromkeys(_names(shard), shard.name)
        with shard.open("rb") as stream:
            total += shard.stat().st_size - 8 - int.from_bytes(stream.read(8), "little")
    write_json(output.path / INDEX, {"metadata": {"total_size": total}, "weight_map": weight_map})


def _shard(output: OutputFolder, number: int, blocks: int) -> Path:
    return output.path / f"model-{number + 1:05d}-of-{blocks + 1:05d}.safetensors"


def _part(output: OutputFolder, what: str, block: int) -> Path:
    return output.work / f"{what}-{block:05d}.safetensors"


def _names(path: Path) -> list[str]:
    with _opened(path) as file:
        return list(file.keys())


def _read(path: Path, name: str) -> Tensor:
    with _opened(path) as file:
        tensor: Tensor = file.get_tensor(name)
    return tensor


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """Open a file that an earlier block, or an earlier call, wrote."""
    try:
        with safe_open(path, framework="pt", backend="pread") as file:
            yield file
    except (SafetensorError, OSError) as error:
        remedy = f"Delete {path.parent} and run the same command again."
        raise CorruptArtefactError(path, str(error), remedy) from error
