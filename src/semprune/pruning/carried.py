"""Masks that a checkpoint carries: into its state, out of it, and whether they still fit."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from semprune.errors import BackboneMismatchError, CorruptArtefactError
from semprune.pruning.calibration import hash_calibration
from semprune.pruning.report import PruneReport
from semprune.pruning.stored_masks import StoredMasks, unpack_masks
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
