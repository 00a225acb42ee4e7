"""The folder of a streamed pruning's weights: one file per block, one for the rest, and what makes it a model."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from semprune.backbones.streamed import StreamedModel
from semprune.backbones.weights.stored_tensors import INDEX
from semprune.errors import CorruptArtefactError
from semprune.io.files import atomic, write_json
from semprune.io.tensor_files import opened_safetensors, storage_order, stream_safetensors
from semprune.pruning.streamed.output_folder import PROVENANCE, OutputFolder
from semprune.pruning.weights.linear import refuse_non_finite


class OutsideBlocks:
    """The tensors of a streamed model outside its decoder blocks, as they are stored, in the model's number format.

    Those that the model has no place for (of blocks beyond the configuration's, of heads that predict several tokens …)
    are among them, byte for byte.

    Attributes:
        layout: Number format and shape of each tensor by the name under which ``save_pretrained`` stores it.

    Args:
        streamed: The model.
    """

    def __init__(self, streamed: StreamedModel) -> None:
        """Look at names, shapes and formats; no tensor is read."""
        self._streamed = streamed
        self._stored: dict[str, str] = {}
        self.layout: dict[str, tuple[torch.dtype, tuple[int, ...]]] = {}
        outside = [name for name, place in streamed.places.items() if not streamed.in_a_block(place)]
        for stored in (*outside, *streamed.conversion.without_place):
            entry = streamed.checkpoint.tensors[stored]
            name, tensor = self._export(stored, torch.empty(entry.shape, dtype=entry.dtype, device="meta"))
            self._stored[name] = stored
            self.layout[name] = (tensor.dtype, tuple(tensor.shape))

    def read(self, name: str) -> Tensor:
        """Return a tensor by its name in ``layout``.

        Raises:
            BackboneLoadError: A file is damaged.
        """
        stored = self._stored[name]
        return self._export(stored, self._streamed.checkpoint.read([stored])[stored])[1]

    def check_finite(self) -> None:
        """Refuse parameters without an order; what has no place in the model is not looked at.

        Raises:
            NonFiniteError: One is NaN or infinite; names it.
        """
        for name in (name for name, stored in self._stored.items() if stored in self._streamed.places):
            refuse_non_finite(name, self.read(name))

    def _export(self, stored: str, tensor: Tensor) -> tuple[str, Tensor]:
        conversion = self._streamed.conversion
        targets = conversion.targets[stored]
        if not targets or stored not in conversion.renamed:  # no parameter, a part of one, several: as it is
            return stored, tensor
        target = targets[0]
        dtype = self._streamed.model.state_dict()[target].dtype
        ((name, value),) = conversion.revert({target: tensor.to(dtype)}).items()
        return name, value


FORMAT = {"format": "pt"}
"""What transformers looks for in a file of weights."""


def write_block(output: OutputFolder, block: int, blocks: int, tensors: Mapping[str, Tensor]) -> None:
    """Write the weights of one of a number of blocks."""
    layout = {name: (tensor.dtype, tuple(tensor.shape)) for name, tensor in tensors.items()}
    ordered = ((name, tensors[name]) for name in storage_order(layout))
    stream_safetensors(_shard(output, block, blocks), layout, ordered, FORMAT)


def complete_folder(streamed: StreamedModel, output: OutputFolder) -> None:
    """Write what is outside the blocks, the index, the tokenizer's files, and last the configuration."""
    count = len(streamed.blocks)
    outside = OutsideBlocks(streamed)
    rest = ((name, outside.read(name)) for name in storage_order(outside.layout))
    stream_safetensors(_shard(output, count, count), outside.layout, rest, FORMAT)
    _write_index(output, [_shard(output, block, count) for block in range(count + 1)])
    for name, content in streamed.companions():
        if name != PROVENANCE:  # of a pruned model that is pruned again
            with atomic(output.path / name) as temporary:
                temporary.write_bytes(content)


def _write_index(output: OutputFolder, shards: list[Path]) -> None:
    weight_map: dict[str, str] = {}
    total = 0
    for shard in shards:
        weight_map |= dict.fromkeys(stored_names(shard), shard.name)
        with shard.open("rb") as stream:
            total += shard.stat().st_size - 8 - int.from_bytes(stream.read(8), "little")
    write_json(output.path / INDEX, {"metadata": {"total_size": total}, "weight_map": weight_map})


def _shard(output: OutputFolder, number: int, blocks: int) -> Path:
    return output.path / f"model-{number + 1:05d}-of-{blocks + 1:05d}.safetensors"


def stored_names(path: Path) -> list[str]:
    """Return the names of the tensors of a file that this run wrote.

    Raises:
        CorruptArtefactError: It is gone or damaged.
    """
    with _opened(path) as file:
        return list(file.keys())


def read_stored(path: Path, name: str) -> Tensor:
    """Return a tensor of a file that this run wrote.

    Raises:
        CorruptArtefactError: It is gone or damaged.
    """
    with _opened(path) as file:
        tensor: Tensor = file.get_tensor(name)
    return tensor


def _opened(path: Path) -> AbstractContextManager[Any]:
    """Open a file that an earlier block, or an earlier call, wrote."""
    remedy = f"Delete {path.parent} and run the same command again."
    return opened_safetensors(path, lambda error: CorruptArtefactError(path, str(error), remedy))
