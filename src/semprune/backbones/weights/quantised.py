"""Which weights of a quantised model folder are not zero: of the formats whose codes alone say it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from math import prod
from pathlib import Path

import torch
from jaxtyping import Bool, UInt8
from torch import Tensor

from semprune.backbones.weights.stored_tensors import opened_weights, weight_files
from semprune.errors import BackboneLoadError

ZERO_POINTS = ("_zero_point", "_zero_points", "_offset")
"""Ends of the names of what is added to codes: with it, code 0 is not the weight 0."""
CODEBOOK = ".quant_map"
"""End of the name of bitsandbytes' 16 values of a 4-bit code."""
DEQUANTISE = (
    "Write its weights as they are multiplied (in transformers: model.dequantize(), then save_pretrained), and verify "
    "that folder."
)


def nonzero_weights(
    folder: Path, shapes: Mapping[str, tuple[int, ...]]
) -> Iterator[tuple[str, Bool[Tensor, "rows columns"]]]:
    """Yield, matrix by matrix, which weights are not zero once they are dequantised.

    Read are codes of the matrix's own shape that stand for a multiple of a scale (int8 of bitsandbytes, int8 and float8
    of compressed-tensors and others), matrices that were left in a floating-point format, and the packed 4-bit codes of
    bitsandbytes (nf4, fp4).

    Args:
        folder: A model folder with safetensors weights.
        shapes: Shape of each matrix, as it is stored, by its module's name.

    Raises:
        BackboneLoadError: A matrix is not there, or its codes are packed in another way; or a file is damaged.
    """
    place = {name: path for path in weight_files(folder) for name in _names(path)}
    for name, shape in shapes.items():
        weight = f"{name}.weight"
        if weight not in place or any(f"{weight}{end}" in place for end in ZERO_POINTS):
            raise _unreadable(folder, name)
        codes, book = _read(place[weight], weight), f"{weight}{CODEBOOK}"
        if tuple(codes.shape) == shape and codes.dtype != torch.uint8:  # unsigned codes have a zero point of their own
            yield name, (codes.float() if codes.is_floating_point() else codes) != 0
        elif codes.dtype == torch.uint8 and 2 * codes.numel() == prod(shape) and book in place:
            yield name, _values_of_nibbles(codes, _read(place[book], book), shape) != 0
        else:
            raise _unreadable(folder, name)


def _values_of_nibbles(codes: UInt8[Tensor, "..."], book: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Return the values, up to their blocks' scales; the high half of a byte is the first of two weights."""
    packed = codes.reshape(-1)
    return book[torch.stack([packed >> 4, packed & 15], dim=1).reshape(shape).int()]


def _names(path: Path) -> list[str]:
    with opened_weights(path) as file:
        return list(file.keys())


def _read(path: Path, name: str) -> Tensor:
    with opened_weights(path) as file:
        tensor: Tensor = file.get_tensor(name)
        return tensor


def _unreadable(folder: Path, name: str) -> BackboneLoadError:
    return BackboneLoadError(str(folder), f"the codes of {name} alone do not say which weights are zero", DEQUANTISE)
