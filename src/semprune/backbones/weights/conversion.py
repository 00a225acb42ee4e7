"""Stored tensors to a model's parameters and back, one part of the model at a time.

How names and shapes differ between files and modules (prefixes, experts that are stored one by one and held as one
tensor …) is known to transformers only. Its own functions are therefore called on a part of the tensors; nothing of it
is restated here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor
from transformers import PreTrainedModel
from transformers.conversion_mapping import get_model_conversion_mapping
from transformers.core_model_loading import (
    WeightConverter,
    WeightRenaming,
    convert_and_load_state_dict_in_model,
    rename_source_key,
    revert_weight_conversion,
)
from transformers.modeling_utils import LoadStateDictConfig
from transformers.utils import logging

from semprune.backbones.weights.stored_tensors import StoredTensor
from semprune.errors import BackboneLoadError
from semprune.errors.base import some_of

REMEDY = "Is config.json of another model than the weights?"


class Conversion:
    """Turns the stored tensors of one model into its parameters, and back.

    Attributes:
        targets: For each stored name the parameters (or buffers) that it becomes or becomes a part of; empty where the
            model has no place for it.
        renamed: Stored names whose tensors are parameters as they are, under another name or the same.
        without_place: Stored names that the model has no place for, in order: of more blocks than the configuration
            has, of heads that predict several tokens, buffers that are computed …

    Args:
        model: The model, on the meta device.
        stored: Names of all tensors of its checkpoint.
        dtype: Number format of the parameters.
        device: Where they go.
    """

    def __init__(self, model: PreTrainedModel, stored: Iterable[str], dtype: torch.dtype, device: torch.device) -> None:
        """Rename all names, which also tells transformers what to undo when names are turned back."""
        self._model = model
        mapping = get_model_conversion_mapping(model)
        self._renamings = [entry for entry in mapping if isinstance(entry, WeightRenaming)]
        self._converters = [entry for entry in mapping if isinstance(entry, WeightConverter)]
        # mostly parameters; a few models store buffers
        self._places = model.state_dict()
        self.renamed: set[str] = set()
        self.targets = {name: self._targets(name) for name in stored}
        self.without_place = sorted(name for name, targets in self.targets.items() if not targets)
        self._settings = LoadStateDictConfig(
            dtype=dtype, dtype_plan=model._get_dtype_plan(dtype), weight_mapping=mapping, device_map={"": device}
        )

    def check(self, name: str, stored: Mapping[str, StoredTensor]) -> None:
        """Refuse stored tensors that are not the model's parameters, before any is read.

        Args:
            name: What to call the backbone in an error.
            stored: What the files' headers say of each stored tensor.

        Raises:
            BackboneLoadError: A parameter is stored as integers, in another shape, or twice under two names.
        """
        codes = [key for key, entry in stored.items() if self._holds_codes(key, entry.dtype)]
        if codes:
            detail = f"{some_of(codes)}: stored as {stored[min(codes)].dtype}, not as floating-point numbers"
            raise BackboneLoadError(name, f"{detail} (a quantised model?)", "Use unquantised weights.")
        first: dict[str, str] = {}
        places = {key: self.targets[key][0] for key in sorted(self.renamed) if self.targets[key]}
        for key, target in places.items():
            if first.setdefault(target, key) != key:
                detail = f"{first[target]} and {key} are both stored for {target}"
                raise BackboneLoadError(name, detail, "Remove one, or save the model again with save_pretrained.")
            shape, expected = stored[key].shape, tuple(self._places[target].shape)
            if shape != expected:
                raise BackboneLoadError(name, f"{key} has another shape {shape} than {expected} by config.json", REMEDY)

    def sources(self, stored: Iterable[str]) -> list[str]:
        """Return the names of all stored tensors that become the same parameters as some of them."""
        touched = {target for name in stored for target in self.targets[name]}
        return [name for name, targets in self.targets.items() if touched.intersection(targets)]

    def load(self, tensors: Mapping[str, Tensor]) -> None:
        """Put stored tensors in their places.

        Raises:
            BackboneLoadError: One has another shape than its place.
        """
        with _without_progress_bar():
            info, _ = convert_and_load_state_dict_in_model(self._model, dict(tensors), self._settings)
        wrong = sorted(str(entry[0]) for entry in info.mismatched_keys) + sorted(map(str, info.conversion_errors))
        if wrong:
            raise BackboneLoadError(type(self._model).__name__, f"{wrong[0]} has another shape", REMEDY)

    def revert(self, parameters: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return parameters under the names and in the shapes in which ``save_pretrained`` stores them."""
        used = [entry for entry in (*self._renamings, *self._converters) if entry.was_used()]
        self._model._weight_conversions = [entry for entry in self._settings.weight_mapping if entry in used]
        reverted: dict[str, Tensor] = revert_weight_conversion(self._model, dict(parameters))
        return {name: reverted[name].contiguous() for name in sorted(reverted)}

    def _holds_codes(self, stored: str, dtype: torch.dtype) -> bool:
        """Whether a floating-point parameter is stored in another kind of numbers."""
        targets = [self._places[target] for target in self.targets[stored]]
        return not dtype.is_floating_point and any(target.is_floating_point() for target in targets)

    def _targets(self, stored: str) -> tuple[str, ...]:
        renamed, source = self._rename(stored, self._renamings, self._converters)
        if renamed not in self._places and stored in self._places:  # should not have been renamed
            renamed, source = self._rename(stored, [], [])
        if source is None:
            self.renamed.add(stored)
            return (renamed,) if renamed in self._places else ()
        patterns = next(entry for entry in self._converters if source in entry.source_patterns).target_patterns
        names = (renamed.replace(patterns[0], pattern) for pattern in patterns)
        return tuple(name for name in names if name in self._places)

    def _rename(
        self, stored: str, renamings: list[WeightRenaming], converters: list[WeightConverter]
    ) -> tuple[str, str | None]:
        prefix = self._model.base_model_prefix
        renamed: tuple[str, str | None] = rename_source_key(stored, renamings, converters, prefix, self._places)
        return renamed


@contextmanager
def _without_progress_bar() -> Iterator[None]:
    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()
