"""The one encoding of masks, in files and in checkpoints: entries of a header (plain values), and bits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jaxtyping import Bool
from torch import Tensor

from semprune.io.bits import Bits, hash_masks, pack_bits, unpack_bits

UNREADABLE = (KeyError, ValueError, TypeError, AttributeError)
"""What decoding raises where a header or its bits are not what was encoded."""


def shapes_in(header: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    """Return the shape of each mask that a header describes, by the matrix's name."""
    return {name: tuple(shape) for name, shape in header["shapes"].items()}


def describe_masks(shapes: Mapping[str, tuple[int, ...]], mask_hash: str) -> dict[str, Any]:
    """Return the header's entries that :func:`decode_masks` reads, as plain values."""
    return {"shapes": {name: list(shape) for name, shape in shapes.items()}, "mask_hash": mask_hash}


def encode_masks(masks: Mapping[str, Bool[Tensor, "rows columns"]]) -> tuple[dict[str, Any], dict[str, Bits]]:
    """Return the header's entries (plain values) and the bits of each mask.

    Example:
        >>> import torch
        >>> header, bits = encode_masks({"a": torch.tensor([[True, False, True]])})
        >>> header["shapes"], bits
        ({'a': [1, 3]}, {'a': tensor([160], dtype=torch.uint8)})
    """
    shapes = {name: tuple(mask.shape) for name, mask in masks.items()}
    return describe_masks(shapes, hash_masks(masks)), {name: pack_bits(mask) for name, mask in masks.items()}


def check_hash(header: Mapping[str, Any], mask_hash: str) -> None:
    """Refuse masks that are not those of their header.

    Raises:
        ValueError: They do not have the hash that was stored with them.
    """
    if mask_hash != header["mask_hash"]:
        raise ValueError("its masks do not have the hash that was stored with them")


def decode_masks(header: Mapping[str, Any], bits: Mapping[str, Bits]) -> dict[str, Bool[Tensor, "rows columns"]]:
    """Return the masks from what :func:`encode_masks` gave.

    Raises:
        KeyError: An entry is missing.
        ValueError: A mask has the wrong size, or the masks do not have the hash that was stored with them.
        TypeError, AttributeError: An entry is of another kind.
    """
    masks = {name: unpack_bits(bits[name], shape) for name, shape in shapes_in(header).items()}
    check_hash(header, hash_masks(masks))
    return masks
