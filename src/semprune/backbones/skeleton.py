"""A model without weights: every parameter on the meta device, every computed buffer real."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from accelerate import init_empty_weights
from torch.overrides import TorchFunctionMode
from transformers import AutoModelForCausalLM, PretrainedConfig, PreTrainedModel


class _EmptyOnMeta(TorchFunctionMode):
    """Gives tensors without values no memory: even untouched, they would count for a limit, and tear holes."""

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Let ``torch.empty`` make meta tensors."""
        given = dict(kwargs or {})
        if func is torch.empty and given.get("device") is None:
            given["device"] = "meta"
        return func(*args, **given)


def skeleton(config: PretrainedConfig, dtype: torch.dtype, device: torch.device) -> PreTrainedModel:
    """Return a causal language model in evaluation mode, frozen, without weights.

    Args:
        config: Its configuration.
        dtype: Number format of the parameters.
        device: Where buffers go that the model computes itself (rotary frequencies, masks …).
    """
    model = _without_weights(config, dtype)
    # transformers computes buffers in fp32 and only then rounds them to the format that construction gave them
    computed = dict(_without_weights(config, torch.float32).named_buffers())
    config.dtype = dtype
    for path, module in model.named_modules():
        for name, value in module.named_buffers(recurse=False):
            if not value.is_meta:
                exact = computed[f"{path}.{name}".removeprefix(".")]
                module._buffers[name] = exact.to(device, value.dtype)  # setattr would make it persistent
    return model.eval().requires_grad_(False)


def _without_weights(config: PretrainedConfig, dtype: torch.dtype) -> PreTrainedModel:
    with _EmptyOnMeta(), init_empty_weights(include_buffers=False):
        model: PreTrainedModel = AutoModelForCausalLM.from_config(config, dtype=dtype, trust_remote_code=False)
    return model
