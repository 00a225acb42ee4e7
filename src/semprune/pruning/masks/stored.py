"""Masks with their origin: what a file of masks and a pruning callback's checkpoint hold."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from semprune.errors import BackboneMismatchError, CorruptArtefactError
from semprune.io.bits import Bits
from semprune.pruning.calibration import hash_calibration
from semprune.pruning.guidance.protected_text import PROTECTED, ProtectedText, text_hashes
from semprune.pruning.masks.codec import UNREADABLE, decode_masks, encode_masks
from semprune.pruning.report import PruneReport
from semprune.types import Fingerprint

logger = logging.getLogger(__name__)


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
        origin = (fingerprint, report.method, report.settings, report.calibration)
        return cls(report.masks, *origin, report.orders, report.patterned)

    def pack(self) -> tuple[dict[str, Any], dict[str, Bits]]:
        """Return the header (plain values) and the bits of each mask.

        Orders and measured patterns are in the header only where there are any, so that masks without them keep the
        bytes they always had.
        """
        entries, bits = encode_masks(self.masks)
        header = {
            "fingerprint": asdict(self.fingerprint),
            "method": self.method,
            "settings": dict(self.settings),
            "calibration": self.calibration,
            **entries,
        }
        if self.orders:
            header["orders"] = {name: order.tolist() for name, order in self.orders.items()}
        if self.patterned:
            header["patterned"] = dict(self.patterned)
        return header, bits

    def state(self) -> dict[str, Any]:
        """Return a checkpoint's entry."""
        header, bits = self.pack()
        return {"header": header, "bits": bits}

    def serve(
        self,
        fingerprint: Fingerprint,
        calibration: Int[Tensor, "sequences tokens"] | None,
        texts: Iterable[ProtectedText] = (),
    ) -> bool:
        """Whether these masks are those that a run would compute.

        Args:
            fingerprint: Weights of the run.
            calibration: Its calibration sequences; where it offers none, these masks serve instead.
            texts: What it protects; files of one's own may have changed since.

        Raises:
            BackboneMismatchError: The masks were computed from other weights.
        """
        if not self.fingerprint.fits(fingerprint):
            raise BackboneMismatchError("the checkpoint's masks", str(fingerprint), str(self.fingerprint))
        if calibration is not None and hash_calibration(calibration) != self.calibration:
            logger.warning("the checkpoint's masks were made with another calibration than this run's: pruning anew")
            return False
        if calibration is not None and text_hashes(texts) != self.settings.get(PROTECTED, {}):
            logger.warning("the checkpoint's masks protect other text than this run: pruning anew")
            return False
        return True


def unpack_masks(header: Mapping[str, Any], bits: Mapping[str, Bits]) -> StoredMasks:
    """Return masks from what :meth:`StoredMasks.pack` gave.

    Raises:
        KeyError, ValueError, TypeError, AttributeError: As :func:`semprune.pruning.masks.codec.decode_masks`.
    """
    masks = decode_masks(header, bits)
    orders = {name: torch.tensor(order) for name, order in header.get("orders", {}).items()}
    origin = (Fingerprint(**header["fingerprint"]), header["method"], header["settings"], header["calibration"])
    return StoredMasks(masks, *origin, orders, header.get("patterned", {}))


def masks_of_state(state: Mapping[str, Any]) -> StoredMasks:
    """Return the masks of a checkpoint's entry.

    Raises:
        CorruptArtefactError: It is not what :meth:`StoredMasks.state` gave, or its masks are damaged.
    """
    try:
        return unpack_masks(state["header"], state["bits"])
    except UNREADABLE as error:
        raise CorruptArtefactError("the checkpoint's masks", repr(error), "Prune again, without it.") from error
