"""LoRA on a pruned model: what an adapter adds to a pruned weight counts for nothing.

PEFT is not imported: its layers are known by what they have (``base_layer``, ``lora_A``, ``lora_B``,
``get_delta_weight``).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn.functional import linear

from semprune.errors import AdapterError
from semprune.pruning.weights.linear import PrunableLinear, prunable_linears


class HeldAdapter:
    r"""The adapters around one matrix, which change only what a mask keeps: forwards, gradients and merges.

    .. math:: y = W x + s\,(M \odot B A)\,\mathrm{dropout}(x)

    instead of :math:`s\,B A\,\mathrm{dropout}(x)`. It costs the product B A and one more tensor of the weight's size.
    Dropout and scaling stay PEFT's. It stands in place of the layer's ``get_delta_weight``, which merges ask.

    Source: ours.

    Args:
        matrix: The matrix, with PEFT's layer as its module.
        mask: True where a weight is kept, in the stored orientation.
    """

    def __init__(self, matrix: PrunableLinear, mask: Bool[Tensor, "rows columns"]) -> None:
        """Hold from now on; an earlier mask is replaced."""
        self._layer = cast(Any, matrix.module)
        earlier = vars(self._layer).get("get_delta_weight")
        if isinstance(earlier, HeldAdapter):
            earlier.release()
        self._mask = mask.to(matrix.stored.device)
        self._handles: list[Any] = []
        for name, up in self._layer.lora_B.items():
            product = _MaskedProduct(self._layer.lora_A[name], matrix.orient(self._mask))
            self._handles.append(product.down.register_forward_pre_hook(product.see))
            self._handles.append(up.register_forward_hook(product))
        self._layer.get_delta_weight = self

    def __call__(self, adapter: str) -> Float[Tensor, "rows columns"]:
        """Return what a merge adds to the weight, in the stored orientation."""
        whole: Tensor = type(self._layer).get_delta_weight(self._layer, adapter)
        return torch.where(self._mask.to(whole.device), whole, 0)

    def release(self) -> None:
        """Let the adapters change every weight again."""
        while self._handles:
            self._handles.pop().remove()
        del self._layer.get_delta_weight


class _MaskedProduct:
    """Gives B, which is called with A x, the masked product of both with x.

    An object and not a closure: a deep copy of the model then has a copy of it that reads the copied A.
    """

    def __init__(self, down: nn.Linear, kept: Bool[Tensor, "out in"]) -> None:
        self.down, self._kept = down, kept
        self._inputs: Float[Tensor, "... in"] | None = None

    def see(self, _: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        """Remember x, after dropout."""
        self._inputs = inputs[0]

    def __call__(self, up: nn.Linear, _: tuple[Tensor, ...], output: Tensor) -> Tensor:
        """Return (M ⊙ B A) x instead of B A x."""
        inputs, self._inputs = self._inputs, None
        assert inputs is not None
        product = torch.where(self._kept.to(up.weight.device), up.weight @ self.down.weight, 0)
        return linear(inputs, product, up.bias)


def hold_adapters(model: nn.Module, masks: Mapping[str, Bool[Tensor, "rows columns"]]) -> list[HeldAdapter]:
    """Let LoRA adapters change only what masks keep, from now on.

    Args:
        model: A Hugging Face causal language model, whose matrices adapters may wrap.
        masks: True where a weight is kept, in the stored orientation, by the matrix's name.

    Returns:
        One object per adapted matrix, which can be released; none where there is no adapter.

    Raises:
        AdapterError: An adapter is of another kind than plain LoRA of a linear; nothing is changed.
    """
    _refuse_other_kinds(model)
    linears = [found for block in prunable_linears(model, adapted=True).values() for found in block]
    adapted = [found for found in linears if found.name in masks and hasattr(found.module, "base_layer")]
    return [HeldAdapter(found, masks[found.name]) for found in adapted]


def _refuse_other_kinds(model: nn.Module) -> None:
    for path, module in model.named_modules():
        base = getattr(module, "base_layer", None)
        if base is None or isinstance(base, nn.Embedding):
            continue
        plain = isinstance(getattr(module, "lora_B", None), nn.ModuleDict) and not hasattr(module, "parameter_name")
        variants = sorted({type(kind).__name__ for kind in getattr(module, "lora_variant", {}).values()})
        if not plain or variants:
            raise AdapterError(
                f"masks are held through plain LoRA of linears, but {path} has {', '.join(variants) or type(module)}. "
                "Use LoraConfig without variants (such as use_dora), with target_modules, not target_parameters."
            )
