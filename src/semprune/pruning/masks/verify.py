"""Whether a model on the disk still has the zeros of its masks: counted matrix by matrix."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from jaxtyping import Bool
from torch import Tensor

from semprune.backbones.loading.source import BackboneSource, find_backbone
from semprune.backbones.streamed import StreamedModel
from semprune.backbones.weights.quantised import nonzero_weights
from semprune.errors import SettingError
from semprune.pruning.masks.file import MaskFile
from semprune.pruning.weights.linear import prunable_linears


@dataclass(frozen=True, slots=True)
class VerifiedMatrix:
    """One matrix, counted.

    Attributes:
        name: Its name.
        size: Its weights.
        pruned: Those that the mask does not keep, which should be zero.
        filled: Those of them that are not.
    """

    name: str
    size: int
    pruned: int
    filled: int


def verify_masks(name: str, masks: Path) -> Iterator[VerifiedMatrix]:
    """Count, matrix by matrix, the weights that should be zero and are not; one decoder block is in memory at a time.

    A quantised folder is counted from its codes: what is zero is what is multiplied as zero.

    Args:
        name: A local folder (or any other name of a backbone).
        masks: A ``masks.safetensors``; of which weights it was computed does not matter, only that its matrices fit.

    Raises:
        CorruptArtefactError: The file is no file of masks, or damaged.
        SettingError: The model has no such matrix, or one of another shape.
        SempruneError: The model cannot be read.
    """
    file = MaskFile(masks)
    source = find_backbone(name)
    found = _codes(source, file) if _quantised(source.folder) else _weights(source, file)
    for matrix, nonzero in found:
        pruned = ~file.read(matrix)
        yield VerifiedMatrix(matrix, pruned.numel(), int(pruned.sum()), int((nonzero & pruned).sum()))


def _quantised(folder: Path) -> bool:
    return bool(json.loads((folder / "config.json").read_text(encoding="utf-8")).get("quantization_config"))


def _codes(source: BackboneSource, file: MaskFile) -> Iterator[tuple[str, Bool[Tensor, "rows columns"]]]:
    return nonzero_weights(source.folder, file.shapes)


def _weights(source: BackboneSource, file: MaskFile) -> Iterator[tuple[str, Bool[Tensor, "rows columns"]]]:
    streamed = StreamedModel(source)
    blocks = prunable_linears(streamed.model)
    shapes = {linear.name: tuple(linear.stored.shape) for inside in blocks.values() for linear in inside}
    for matrix, shape in file.shapes.items():
        if shapes.get(matrix) != shape:
            has = f"here {shapes[matrix]}" if matrix in shapes else "which this model has not"
            raise SettingError("masks", f"{matrix} {shape}", f"for the model's own matrices, {has}")
    for block, linears in blocks.items():
        wanted = [linear for linear in linears if linear.name in file.shapes]
        with streamed.block(block):
            for linear in wanted:
                yield linear.name, linear.stored.cpu() != 0
