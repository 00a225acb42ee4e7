"""Masks as bits, eight weights a byte, and their hash: the one order of bits in every file and checkpoint."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping

import numpy as np
import torch
from jaxtyping import Bool, UInt8
from torch import Tensor

Bits = UInt8[Tensor, " bytes"]


def pack_bits(mask: Bool[Tensor, "rows columns"]) -> Bits:
    """Return a mask as bits, row by row, the first one in the highest bit; the last byte is filled with 0.

    Example:
        >>> pack_bits(torch.tensor([[True, False, True]]))
        tensor([160], dtype=torch.uint8)
    """
    return torch.from_numpy(np.packbits(mask.detach().cpu().contiguous().numpy()))


def unpack_bits(bits: Bits, shape: tuple[int, ...]) -> Bool[Tensor, "rows columns"]:
    """Return the mask of a shape from its bits.

    Raises:
        ValueError: The number of bytes does not belong to the shape.

    Example:
        >>> unpack_bits(torch.tensor([160], dtype=torch.uint8), (1, 3))
        tensor([[ True, False,  True]])
    """
    count = int(np.prod(shape))
    if bits.ndim != 1 or bits.numel() != -(-count // 8):
        raise ValueError(f"{bits.numel()} bytes cannot hold a mask of shape {shape}")
    return torch.from_numpy(np.unpackbits(bits.cpu().numpy(), count=count).astype(bool)).reshape(shape)


def hash_bits(entries: Iterable[tuple[str, tuple[int, ...], Bits]]) -> str:
    """Return the sha256 over names, shapes and bits of masks, which come in the order of their names."""
    digest = hashlib.sha256()
    for name, shape, bits in entries:
        digest.update(f"{name}|{shape}|".encode())
        digest.update(bits.cpu().numpy().data)
    return digest.hexdigest()


def hash_masks(masks: Mapping[str, Bool[Tensor, "rows columns"]]) -> str:
    """Return the sha256 over names, shapes and bits, in the order of the names."""
    return hash_bits((name, tuple(mask.shape), pack_bits(mask)) for name, mask in sorted(masks.items()))
