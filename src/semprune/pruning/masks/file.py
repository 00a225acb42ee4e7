"""``masks.safetensors`` matrix by matrix: made from the parts of a run, and read without all masks in memory."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from math import prod
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Bool, UInt8
from safetensors import SafetensorError, safe_open
from torch import Tensor

from semprune.errors import CorruptArtefactError
from semprune.io.tensor_files import storage_order, stream_safetensors
from semprune.pruning.masks.bits import unpack_bits
from semprune.pruning.masks.stored import HEADER, REMEDY
from semprune.types import Fingerprint

Bits = UInt8[Tensor, " bytes"]


class MaskFile:
    """A file of masks, of which one is read at a time.

    Attributes:
        path: The file.
        shapes: Shape of each mask, in the stored orientation, by the matrix's name.
        fingerprint: Weights that the masks were computed from.
        header: All that is stored with them: method, settings, calibration …

    Args:
        path: A file that ``save_masks`` or ``semprune prune`` wrote.

    Raises:
        CorruptArtefactError: The file is missing, cut short, not a file of masks, or its masks are not those it was
            written with.
    """

    def __init__(self, path: Path) -> None:
        """Read the header, and check the masks against their hash."""
        self.path = path
        with self._opened() as file:
            metadata = file.metadata() or {}
            if HEADER not in metadata:
                raise CorruptArtefactError(path, "it is not a file of masks", REMEDY)
            self.header: dict[str, Any] = json.loads(metadata[HEADER])
            self.shapes = {name: tuple(shape) for name, shape in self.header["shapes"].items()}
            self.fingerprint = Fingerprint(**self.header["fingerprint"])
            stored = hash_bits((name, shape, file.get_tensor(name)) for name, shape in sorted(self.shapes.items()))
            if stored != self.header["mask_hash"]:
                raise ValueError("its masks do not have the hash that was stored with them")

    def read(self, name: str) -> Bool[Tensor, "rows columns"]:
        """Return a matrix's mask: True where a weight is kept."""
        with self._opened() as file:
            return unpack_bits(file.get_tensor(name), self.shapes[name])

    @contextmanager
    def _opened(self) -> Iterator[Any]:
        try:
            with safe_open(self.path, framework="pt", backend="pread") as file:
                yield file
        except (OSError, SafetensorError, KeyError, ValueError, TypeError) as error:
            raise CorruptArtefactError(self.path, str(error), REMEDY) from error


def hash_bits(entries: Iterable[tuple[str, tuple[int, ...], Bits]]) -> str:
    """Return the sha256 that ``hash_masks`` gives, from packed masks in the order of their names."""
    digest = hashlib.sha256()
    for name, shape, bits in entries:
        digest.update(f"{name}|{shape}|".encode())
        digest.update(bits.numpy().data)
    return digest.hexdigest()


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
    whole = {**header, "shapes": {name: list(shape) for name, shape in shapes.items()}, "mask_hash": mask_hash}
    layout = {name: (torch.uint8, (-(-prod(shape) // 8),)) for name, shape in shapes.items()}
    bits = ((name, read(name)) for name in storage_order(layout))
    stream_safetensors(path, layout, bits, {HEADER: json.dumps(whole, sort_keys=True)})
    return mask_hash
