"""Masks on a model: whether they fit, and the weights set to zero that they do not keep."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from jaxtyping import Bool
from torch import Tensor, nn

from semprune.backbones.backbone import Backbone
from semprune.backbones.layout import require_in_memory
from semprune.errors import BackboneMismatchError, SettingError
from semprune.pruning.masks.file import load_masks
from semprune.pruning.masks.stored import StoredMasks
from semprune.pruning.report import PruneReport, count_empty_rows
from semprune.pruning.settings import refuse_changed_weights
from semprune.pruning.weights.linear import PrunableLinear, stored_weight, zero_pruned


def apply_masks(model: nn.Module, masks: Mapping[str, Bool[Tensor, "rows columns"]]) -> None:
    """Set the weights that masks do not keep to zero, in place.

    Args:
        model: Holds a weight for every name.
        masks: True where a weight is kept, in the stored orientation, by the matrix's name.

    Raises:
        SettingError: The model has no such weight; nothing is changed then.
        OffloadedModelError: A weight is not in memory; the same.
    """
    require_in_memory(model)
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


def apply_mask_file(lm: Backbone, path: Path) -> StoredMasks:
    """Prune a backbone, in place, by a file of masks.

    Args:
        lm: The backbone whose weights the masks were computed from, dense.
        path: A file of masks, or a folder that ``semprune prune`` wrote.

    Returns:
        The masks and what they were made of.

    Raises:
        CorruptArtefactError: It is no file of masks, or damaged.
        BackboneMismatchError: The masks were computed from other weights; nothing is changed.
        MasksOnlyError: Their method also changed the weights that it kept.
    """
    stored = load_masks(path)
    if not stored.fingerprint.fits(lm.fingerprint):
        raise BackboneMismatchError(str(path), str(lm.fingerprint), str(stored.fingerprint))
    refuse_changed_weights(stored.method)
    apply_masks(lm.model, stored.masks)
    return stored


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
