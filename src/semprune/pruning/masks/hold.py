"""Keeps pruned weights at zero while a model is trained."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from jaxtyping import Bool
from torch import Tensor, nn

from semprune.errors import ConfigurationError
from semprune.pruning.masks.adapters import hold_adapters
from semprune.pruning.masks.apply import check_masks
from semprune.pruning.weights.linear import matrix_parameter, prunable_linears, writable


def masks_of_zeros(model: nn.Module) -> dict[str, Bool[Tensor, "rows columns"]]:
    """Return masks that keep every weight of the prunable matrices that is not zero now.

    Args:
        model: A Hugging Face causal language model of a known family; LoRA adapters around its matrices do not count.

    Raises:
        ConfigurationError: No weight is zero: the model is not pruned.
    """
    linears = [linear for inside in prunable_linears(model, adapted=True).values() for linear in inside]
    masks = {linear.name: (linear.stored != 0).cpu() for linear in linears}
    if all(mask.all() for mask in masks.values()):
        raise ConfigurationError(
            "no weight of the model is zero: there is nothing to hold. Load a pruned model, or pass the "
            "folder that `semprune prune` wrote."
        )
    return masks


class HeldWeights:
    """The pruned weights of one model: set to zero, and kept there while optimizers step and LoRA adapters learn.

    Gradients of pruned weights are zero, so that they move no norm and no momentum; and after every step of an
    optimizer the weights are set to zero, whatever state it brought along. LoRA adapters around the weights are held
    for good: released, the model would no longer be the one that was trained.

    Args:
        model: Holds a weight for every name, on the device where it is trained.
        masks: True where a weight is kept, in the stored orientation, by the matrix's name.

    Raises:
        SettingError: The model has no such weight, or one of another shape.
    """

    def __init__(self, model: nn.Module, masks: Mapping[str, Bool[Tensor, "rows columns"]]) -> None:
        """Find the weights; nothing is changed yet. One byte per weight is kept on the weights' device."""
        check_masks(model, masks)
        self._model, self._masks = model, masks
        self._pruned: dict[nn.Parameter, Tensor] = {}
        self._handles: list[Any] = []
        for name, mask in masks.items():
            parameter, expert = matrix_parameter(model, name)
            if parameter not in self._pruned:
                self._pruned[parameter] = torch.zeros_like(parameter, dtype=torch.bool)
            self._pruned[parameter][... if expert is None else expert] = ~mask.to(parameter.device)

    def hold(self) -> None:
        """Set pruned weights to zero, in place."""
        for parameter, pruned in self._pruned.items():
            with writable(parameter.data) as weight:
                weight.masked_fill_(pruned, 0)

    def attach(self, optimizers: Iterable[torch.optim.Optimizer]) -> None:
        """Hold the weights now, and through every backward pass and every step, until :meth:`release`.

        Raises:
            AdapterError: The model has adapters of another kind than plain LoRA; nothing is changed.
        """
        hold_adapters(self._model, self._masks)
        self.hold()
        for parameter, pruned in self._pruned.items():
            if parameter.requires_grad:
                self._handles.append(parameter.register_hook(_without(pruned)))
        for optimizer in optimizers:
            self._handles.append(optimizer.register_step_post_hook(lambda *_: self.hold()))

    def release(self) -> None:
        """Remove the hooks on weights and optimizers; the weights stay as they are, and adapters stay held."""
        while self._handles:
            self._handles.pop().remove()


def _without(pruned: Tensor) -> Any:
    return lambda gradient: gradient.masked_fill(pruned, 0)
