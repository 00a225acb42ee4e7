"""Masks of a pruned model: applied in place, packed into bits, hashed."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import numpy as np
import torch
from jaxtyping import Bool, UInt8
from torch import Tensor, nn

from semprune.errors import SettingError
from semprune.pruning.weights.linear import stored_weight, zero_pruned


def pack_bits(mask: Bool[Tensor, "rows columns"]) -> UInt8[Tensor, " bytes"]:
    """Return a mask as bits, row by row, the first one in the highest bit; the last byte is filled with 0.

    Example:
        >>> pack_bits(torch.tensor([[True, False, True]]))
        tensor([160], dtype=torch.uint8)
    """
    return torch.from_numpy(np.packbits(mask.detach().cpu().contiguous().numpy()))


def unpack_bits(bits: UInt8[Tensor, " bytes"], shape: tuple[int, ...]) -> Bool[Tensor, "rows columns"]:
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


def hash_masks(masks: Mapping[str, Bool[Tensor, "rows columns"]]) -> str:
    """Return the sha256 over names, shapes and bits, in the order of the names."""
    digest = hashlib.sha256()
    for name, mask in sorted(masks.items()):
        digest.update(f"{name}|{tuple(mask.shape)}|".encode())
        digest.update(pack_bits(mask).numpy().tobytes())
    return digest.hexdigest()


def apply_masks(model: nn.Module, masks: Mapping[str, Bool[Tensor, "rows columns"]]) -> None:
    """Set the weights that masks do not keep to zero, in place.

    Args:
        model: Holds a weight for every name.
        masks: True where a weight is kept, in the stored orientation, by the matrix's name.

    Raises:
        SettingError: The model has no such weight; nothing is changed then.
    """
    check_masks(model, masks)
    for name, mask in masks.items():
        zero_pruned(stored_weight(model, name), mask)


def check_masks(model: nn.Module, masks: Mapping[str, Bool[Tensor, "rows columns"]]) -> None:
    """Refuse masks of another model.

    Args:
        model: A model.
        masks: Masks by the matrix's name.

    Raises:
        SettingError: The model has no such weight, or one of another shape.
    """
    for name, mask in masks.items():
        try:
            weight = stored_weight(model, name)
        except AttributeError as error:
            raise SettingError("masks", name, "for modules of this model that have a weight") from error
        shape = tuple(mask.shape)
        if tuple(weight.shape) != shape:
            raise SettingError("masks", f"{name} {shape}", f"of the weights' shapes, here {tuple(weight.shape)}")
