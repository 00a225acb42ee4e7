"""LoRA on a pruned model: what an adapter adds to a pruned weight counts for nothing.

PEFT is not imported: its layers are known by what they have (``base_layer``, ``lora_A``, ``lora_B``).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn.functional import linear

from semprune.errors import AdapterError
from semprune.pruning.weights.linear import prunable_linears


def hold_adapters(model: nn.Module, masks: Mapping[str, Bool[Tensor, "rows columns"]]) -> list[Any]:
    r"""Let LoRA adapters change only what masks keep, until the returned handles are removed.

    .. math:: y = W x + s\,(M \odot B A)\,\mathrm{dropout}(x)

    instead of :math:`s\,B A\,\mathrm{dropout}(x)`: training sees the model that a merge which keeps zeros gives. It
    costs the product B A and one more tensor of the weight's size for each adapted matrix.

    Source: ours.

    Args:
        model: A Hugging Face causal language model, whose matrices adapters may wrap.
        masks: True where a weight is kept, in the stored orientation, by the matrix's name.

    Returns:
        Handles of hooks; none where there is no adapter.

    Raises:
        AdapterError: An adapter is of another kind than plain LoRA of a linear.
    """
    _refuse_other_kinds(model)
    handles: list[Any] = []
    linears = [found for block in prunable_linears(model, adapted=True).values() for found in block]
    for found in linears:
        if found.name in masks and hasattr(found.module, "base_layer"):
            wrapper: Any = found.module
            kept = found.orient(masks[found.name]).to(found.stored.device)
            for name, up in wrapper.lora_B.items():
                handles += _hold_one(wrapper.lora_A[name], up, kept)
    return handles


def _hold_one(down: nn.Linear, up: nn.Linear, kept: Bool[Tensor, "out in"]) -> Iterator[Any]:
    """Give ``up``, which is called with A x, the masked product of both with x: dropout and scaling stay PEFT's."""
    seen: list[Float[Tensor, "... in"]] = []

    def see(_: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        seen[:] = inputs[:1]

    def answer(_: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
        product = torch.where(kept, up.weight @ down.weight, 0)
        return linear(seen.pop(), product, up.bias)

    yield down.register_forward_pre_hook(see)
    yield up.register_forward_hook(answer)


def _refuse_other_kinds(model: nn.Module) -> None:
    for path, module in model.named_modules():
        base = getattr(module, "base_layer", None)
        if base is None or isinstance(base, nn.Embedding):
            continue
        plain = isinstance(getattr(module, "lora_B", None), nn.ModuleDict) and not hasattr(module, "parameter_name")
        if not plain or getattr(module, "lora_variant", None):
            variants = ", ".join(sorted({type(kind).__name__ for kind in getattr(module, "lora_variant", {}).values()}))
            raise AdapterError(
                f"HoldMasks holds masks through plain LoRA of linears, but {path} has {variants or type(module)}. "
                "Use LoraConfig without variants (such as use_dora), with target_modules, not target_parameters."
            )
