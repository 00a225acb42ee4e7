"""Masks with their origin, as ``masks.safetensors`` and as part of a checkpoint: bits and a header of plain values."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Bool, Int, UInt8
from safetensors import SafetensorError, safe_open
from torch import Tensor

from semprune.errors import CorruptArtefactError
from semprune.io.tensor_files import write_safetensors
from semprune.pruning.masks.bits import hash_masks, pack_bits, unpack_bits
from semprune.pruning.masks.report import PruneReport
from semprune.types import Fingerprint

HEADER = "semprune.masks.1"
REMEDY = "Prune again to write a new one."


@dataclass(frozen=True, slots=True)
class StoredMasks:
    """Masks and what they were made of.

    Attributes:
        masks: True where a weight is kept, in the stored orientation, by module name.
        fingerprint: Weights they were computed from.
        method: Name of the pruning method.
        settings: Its settings (plain values).
        calibration: sha256 of the calibration's token ids; None where none were looked at.
        orders: Of matrices whose columns were reordered for their N:M pattern: the inputs in the order in which the
            pattern holds, by module name.
        patterned: Whether the asked N:M pattern holds in the mask as it is stored, by module name.
    """

    masks: Mapping[str, Bool[Tensor, "rows columns"]]
    fingerprint: Fingerprint
    method: str
    settings: Mapping[str, Any]
    calibration: str | None = None
    orders: Mapping[str, Int[Tensor, " in"]] = field(default_factory=dict)
    patterned: Mapping[str, bool] = field(default_factory=dict)

    @classmethod
    def of(cls, report: PruneReport, fingerprint: Fingerprint) -> StoredMasks:
        """Return what a pruning of these weights leaves to be stored."""
        return cls(
            report.masks,
            fingerprint,
            report.method,
            report.settings,
            report.calibration,
            report.orders,
            report.patterned,
        )

    def pack(self) -> tuple[dict[str, Any], dict[str, UInt8[Tensor, " bytes"]]]:
        """Return the header (plain values) and the bits of each mask.

        Orders and measured patterns are in the header only where there are any, so that masks without them keep the
        bytes they always had.
        """
        header = {
            "fingerprint": asdict(self.fingerprint),
            "method": self.method,
            "settings": dict(self.settings),
            "calibration": self.calibration,
            "shapes": {name: list(mask.shape) for name, mask in self.masks.items()},
            "mask_hash": hash_masks(self.masks),
        }
        if self.orders:
            header["orders"] = {name: order.tolist() for name, order in self.orders.items()}
        if self.patterned:
            header["patterned"] = dict(self.patterned)
        return header, {name: pack_bits(mask) for name, mask in self.masks.items()}


def unpack_masks(header: Mapping[str, Any], bits: Mapping[str, UInt8[Tensor, " bytes"]]) -> StoredMasks:
    """Return masks from what :meth:`StoredMasks.pack` gave.

    Raises:
        KeyError: An entry is missing.
        ValueError: A mask has the wrong size, or the masks do not have the hash that was stored with them.
        TypeError: An entry is of another kind.
    """
    masks = {name: unpack_bits(bits[name], tuple(shape)) for name, shape in header["shapes"].items()}
    if hash_masks(masks) != header["mask_hash"]:
        raise ValueError("its masks do not have the hash that was stored with them")
    fingerprint = Fingerprint(**header["fingerprint"])
    orders = {name: torch.tensor(order) for name, order in header.get("orders", {}).items()}
    origin = (fingerprint, header["method"], header["settings"], header["calibration"])
    return StoredMasks(masks, *origin, orders, header.get("patterned", {}))


def save_masks(path: Path, stored: StoredMasks) -> Path:
    """Write masks bit-packed, through a temporary file that is renamed when it is complete.

    The same masks and settings give the same bytes.

    Returns:
        ``path``.
    """
    header, bits = stored.pack()
    # one entry, since safetensors writes several in random order
    write_safetensors(path, bits, {HEADER: json.dumps(header, sort_keys=True)})
    return path


def load_masks(path: Path) -> StoredMasks:
    """Read masks and check them against the hash in the file.

    Raises:
        CorruptArtefactError: The file is missing, cut short, not a file of masks, or its masks are not those it was
            written with.
    """
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            if HEADER not in metadata:
                raise CorruptArtefactError(path, "it is not a file of masks", REMEDY)
            bits = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  # safe_open is no mapping
        return unpack_masks(json.loads(metadata[HEADER]), bits)
    except (OSError, SafetensorError, KeyError, ValueError, TypeError) as error:
        raise CorruptArtefactError(path, str(error), REMEDY) from error
