"""Merges LoRA adapters into a pruned model, which stays pruned."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from jaxtyping import Bool
from torch import Tensor, nn

from semprune.backbones.layout import language_model
from semprune.errors import AdapterError
from semprune.pruning.masks.apply import apply_masks, check_masks
from semprune.pruning.masks.file import load_masks
from semprune.pruning.masks.hold import masks_of_zeros


def merge_adapters(
    model: nn.Module, masks: str | Path | Mapping[str, Bool[Tensor, "rows columns"]] | None = None
) -> nn.Module:
    """Merge the adapters of a PEFT model into its weights, and keep every pruned weight at zero.

    ``merge_and_unload`` alone adds B A to all weights of a matrix: nothing of its sparsity is left. Where the adapters
    were trained under :class:`~semprune.pruning.callbacks.hold.HoldMasks`, the merged model computes what was trained.

    Args:
        model: A PEFT model (anything with ``merge_and_unload``) around a causal language model of a known family.
        masks: A ``masks.safetensors``, or masks by the matrix's name. None keeps what is zero before the merge.

    Returns:
        The Hugging Face model without adapters.

    Raises:
        AdapterError: The model has no adapters to merge.
        ConfigurationError: It holds no language model of a known family, or ``masks`` is None and no weight is zero.
        SettingError: The masks are of another model.
        CorruptArtefactError: The file is no file of masks, or damaged.

    Example:
        >>> merge_adapters(nn.Linear(2, 2))
        Traceback (most recent call last):
        ...
        semprune.errors.AdapterError: a Linear has no adapters to merge. Pass the PEFT model that was trained.
    """
    merge = getattr(model, "merge_and_unload", None)
    if merge is None:
        raise AdapterError(f"a {type(model).__name__} has no adapters to merge. Pass the PEFT model that was trained.")
    base = language_model(model, "merge_adapters")
    if masks is None:
        kept: Mapping[str, Tensor] = masks_of_zeros(base)
    else:
        kept = masks if isinstance(masks, Mapping) else load_masks(Path(masks)).masks
    check_masks(base, kept)
    merged: nn.Module = merge()
    apply_masks(merged, kept)
    return merged
