"""A frozen language model with everything the other rooms ask about it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from semprune.backbones.family import Family
from semprune.backbones.layout import family_of, neuron_sites, prunable_matrices, require_in_memory
from semprune.backbones.weights.fingerprint import fingerprint_model
from semprune.types import Fingerprint, NeuronSite, PrunableMatrix


@dataclass(frozen=True, repr=False)
class Backbone:
    """A frozen causal language model.

    Attributes:
        name: What it was loaded by.
        model: The Hugging Face model, in evaluation mode, no parameter requires a gradient.
        tokenizer: Its tokenizer.
        family: Where its matrices and neurons are.
        matrices: Its prunable matrices, block by block.
        fingerprint: Which weights these are.
    """

    name: str
    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    family: Family
    matrices: tuple[PrunableMatrix, ...]
    fingerprint: Fingerprint

    def __repr__(self) -> str:
        """Name, class, size and place: the model's own says thousands of characters."""
        parameters = sum(each.numel() for each in self.model.parameters())
        blocks, dtype = self.model.config.get_text_config().num_hidden_layers, str(self.dtype).removeprefix("torch.")
        return (
            f"Backbone({self.name!r}: {type(self.model).__name__}, {blocks} blocks, {parameters:,} parameters, "
            f"{dtype} on {self.device})"
        )

    @cached_property
    def sites(self) -> tuple[NeuronSite, ...]:
        """Places of its MLP neurons, in the order of the layers.

        Raises:
            RoutedNeuronsError: They are inside of experts. The rest of the backbone can be used.
        """
        return neuron_sites(self.model, self.family)

    @property
    def max_length(self) -> int:
        """Longest input in tokens: of the positions, or of training where positions have no limit."""
        return int(self.family.trained_length or self.model.config.max_position_embeddings)

    @property
    def device(self) -> torch.device:
        """Device of the weights."""
        device: torch.device = next(self.model.parameters()).device
        return device

    @property
    def dtype(self) -> torch.dtype:
        """Number format of the weights."""
        dtype: torch.dtype = next(self.model.parameters()).dtype
        return dtype


def describe(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, name: str, fingerprint: Fingerprint | None = None
) -> Backbone:
    """Freeze a model in memory and describe it.

    Args:
        model: A causal language model of a known family; it is set to evaluation mode and frozen in place.
        tokenizer: Its tokenizer.
        name: What to call it.
        fingerprint: Which weights these are; None hashes the weights in memory, in the dtype they have there.

    Returns:
        The backbone, around the same model.

    Raises:
        UnknownArchitectureError: No family declares the model's class.
        UnprunedMatrixError: A decoder block has a matrix that the family does not name.
        BackboneLoadError: The model lacks a matrix that the family names, or its weights are quantised.
        OffloadedModelError: A weight is not in memory.
    """
    require_in_memory(model)
    family = family_of(model)
    matrices = prunable_matrices(model, family)
    mark = fingerprint or fingerprint_model(model, tokenizer=tokenizer)
    model.eval().requires_grad_(False)  # a model built from a configuration starts in training mode
    return Backbone(name, model, tokenizer, family, matrices, mark)
