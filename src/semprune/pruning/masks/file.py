"""``semprune/masks.safetensors``: masks bit-packed with a header; written and read at once, or matrix by matrix."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from math import prod
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Bool
from torch import Tensor

from semprune.errors import CorruptArtefactError
from semprune.io.bits import Bits, hash_bits, unpack_bits
from semprune.io.seals import check_seal, seal
from semprune.io.tensor_files import opened_safetensors, storage_order, stream_safetensors, write_safetensors
from semprune.pruning.masks.codec import UNREADABLE, check_hash, describe_masks, shapes_in
from semprune.pruning.masks.stored import StoredMasks, unpack_masks
from semprune.types import Fingerprint

MASKS = "semprune/masks.safetensors"
"""Where a pruned folder holds its masks: in a folder of their own, since loaders of weights take every safetensors file
beside the configuration for one of weights."""
FORMER = "masks.safetensors"
"""Where they were before."""
HEADER = "semprune.masks.1"
REMEDY = "Prune again to write a new one."


def save_masks(path: Path, stored: StoredMasks) -> Path:
    """Write masks bit-packed, through a temporary file that is renamed when it is complete.

    The same masks and settings give the same bytes.

    Returns:
        ``path``.
    """
    header, bits = stored.pack()
    write_safetensors(path, bits, _metadata(header))
    return path


def find_masks(path: Path) -> Path:
    """Return the file of masks of a folder that ``semprune prune`` wrote; a file as it is.

    Example:
        >>> find_masks(Path("runs/wanda.safetensors")).as_posix()
        'runs/wanda.safetensors'
    """
    if not path.is_dir():
        return path
    places = [path / MASKS, path / FORMER]
    return next((place for place in places if place.is_file()), places[0])


def load_masks(path: Path) -> StoredMasks:
    """Read masks and check them against the hash in the file.

    Args:
        path: A file of masks, or a folder that ``semprune prune`` wrote.

    Raises:
        CorruptArtefactError: The file is missing, cut short, not a file of masks, or its masks are not those it was
            written with.
    """
    path = find_masks(path)
    with _opened(path) as file:
        header = _header(path, file)
        return unpack_masks(header, {name: file.get_tensor(name) for name in shapes_in(header)})


class MaskFile:
    """A file of masks, of which one is read at a time.

    Attributes:
        path: The file.
        shapes: Shape of each mask, in the stored orientation, by the matrix's name.
        fingerprint: Weights that the masks were computed from.
        header: All that is stored with them: method, settings, calibration …

    Args:
        path: A file that ``save_masks`` or ``semprune prune`` wrote, or a folder that the latter wrote.

    Raises:
        CorruptArtefactError: The file is missing, cut short, not a file of masks, or its masks are not those it was
            written with.
    """

    def __init__(self, path: Path) -> None:
        """Read the header, and check the masks against their hash."""
        self.path = find_masks(path)
        with _opened(self.path) as file:
            self.header = _header(self.path, file)
            self.shapes = shapes_in(self.header)
            self.fingerprint = Fingerprint(**self.header["fingerprint"])
            stored = ((name, shape, file.get_tensor(name)) for name, shape in sorted(self.shapes.items()))
            check_hash(self.header, hash_bits(stored))

    def read(self, name: str) -> Bool[Tensor, "rows columns"]:
        """Return a matrix's mask: True where a weight is kept."""
        with _opened(self.path) as file:
            return unpack_bits(file.get_tensor(name), self.shapes[name])


def write_mask_file(
    path: Path, shapes: Mapping[str, tuple[int, ...]], read: Callable[[str], Bits], header: Mapping[str, Any]
) -> str:
    """Write a file of masks from packed masks, of which one is in memory at a time.

    Args:
        path: The file.
        shapes: Shape of each mask by the matrix's name.
        read: Gives the bits of a mask.
        header: ``fingerprint``, ``method``, ``settings`` and ``calibration``, as :class:`StoredMasks` packs them.

    Returns:
        The masks' hash.
    """
    mask_hash = hash_bits((name, shape, read(name)) for name, shape in sorted(shapes.items()))
    layout = {name: (torch.uint8, (-(-prod(shape) // 8),)) for name, shape in shapes.items()}
    bits = ((name, read(name)) for name in storage_order(layout))
    stream_safetensors(path, layout, bits, _metadata({**header, **describe_masks(shapes, mask_hash)}))
    return mask_hash


def _metadata(header: Mapping[str, Any]) -> dict[str, str]:
    return {HEADER: json.dumps(seal(header), sort_keys=True)}  # one entry: safetensors writes several in random order


def _header(path: Path, file: Any) -> dict[str, Any]:
    metadata = file.metadata() or {}
    if HEADER not in metadata:
        raise CorruptArtefactError(path, "it is not a file of masks", REMEDY)
    header: dict[str, Any] = json.loads(metadata[HEADER])
    check_seal(header, path)
    return header


def _opened(path: Path) -> AbstractContextManager[Any]:
    return opened_safetensors(path, lambda error: CorruptArtefactError(path, str(error), REMEDY), UNREADABLE)
