"""Masks that a checkpoint carries: into its state, out of it, and whether they still fit."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from typing import Any

from torch import Tensor, nn

from semprune.errors import BackboneMismatchError, CorruptArtefactError
from semprune.pruning.calibration import hash_calibration
from semprune.pruning.masks.bits import apply_masks
from semprune.pruning.masks.report import PruneReport, count_empty_rows
from semprune.pruning.masks.stored import StoredMasks, unpack_masks
from semprune.pruning.weights.linear import PrunableLinear
from semprune.types import Fingerprint

logger = logging.getLogger(__name__)


def state_of(report: PruneReport, fingerprint: Fingerprint) -> dict[str, Any]:
    """Return a checkpoint's entry: plain values and the bits of each mask."""
    header, bits = StoredMasks.of(report, fingerprint).pack()
    return {"header": header, "bits": bits}


def masks_from(state: Mapping[str, Any]) -> StoredMasks:
    """Return the masks of a checkpoint's entry.

    Raises:
        CorruptArtefactError: It is not what :func:`state_of` gave, or its masks are damaged.
    """
    try:
        return unpack_masks(state["header"], state["bits"])
    except (KeyError, ValueError, TypeError) as error:
        raise CorruptArtefactError("the checkpoint's masks", repr(error), "Prune again, without it.") from error


def apply_stored(model: nn.Module, stored: StoredMasks, linears: Iterable[PrunableLinear]) -> PruneReport:
    """Apply stored masks in place and return what they did, measured.

    Raises:
        SettingError: The model has no such weight; nothing is changed then.
    """
    apply_masks(model, stored.masks)
    pruned = [linear for linear in linears if linear.name in stored.masks]
    measured = {linear.name: linear.measured_sparsity() for linear in pruned}
    empty = {linear.name: count_empty_rows(linear.orient(stored.masks[linear.name])) for linear in pruned}
    origin = (stored.method, stored.settings, stored.masks, measured, stored.calibration)
    empty = {name: count for name, count in empty.items() if count}
    return PruneReport(*origin, stored.orders, stored.patterned, empty)


def still_valid(stored: StoredMasks, fingerprint: Fingerprint, calibration: Tensor | None) -> bool:
    """Whether carried masks are those that this run would compute.

    Args:
        stored: The masks.
        fingerprint: Weights of this run.
        calibration: Its calibration sequences; where it offers none, carried masks serve instead.

    Raises:
        BackboneMismatchError: The masks were computed from other weights.
    """
    if stored.fingerprint != fingerprint:
        raise BackboneMismatchError("the checkpoint's masks", str(fingerprint), str(stored.fingerprint))
    if calibration is not None and hash_calibration(calibration) != stored.calibration:
        logger.warning("the checkpoint's masks were made with another calibration than this run's: pruning anew")
        return False
    return True
