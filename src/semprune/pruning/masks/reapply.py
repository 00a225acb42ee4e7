"""Stored masks on the weights that they were computed from."""

from __future__ import annotations

from pathlib import Path

from semprune.backbones.backbone import Backbone
from semprune.errors import BackboneMismatchError
from semprune.pruning.masks.bits import apply_masks
from semprune.pruning.masks.stored import StoredMasks, load_masks
from semprune.pruning.settings import refuse_changed_weights


def apply_mask_file(lm: Backbone, path: Path) -> StoredMasks:
    """Prune a backbone, in place, by a file of masks.

    Args:
        lm: The backbone whose weights the masks were computed from, dense.
        path: A ``masks.safetensors``.

    Returns:
        The masks and what they were made of.

    Raises:
        CorruptArtefactError: It is no file of masks, or damaged.
        BackboneMismatchError: The masks were computed from other weights; nothing is changed.
        MasksOnlyError: Their method also changed the weights that it kept.
    """
    stored = load_masks(path)
    if stored.fingerprint != lm.fingerprint:
        raise BackboneMismatchError(str(path), str(lm.fingerprint), str(stored.fingerprint))
    refuse_changed_weights(stored.method)
    apply_masks(lm.model, stored.masks)
    return stored
