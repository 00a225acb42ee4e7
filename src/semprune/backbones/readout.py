"""A language-model head that reads chosen positions only, in any Hugging Face causal LM, through its own forward.

A pre-hook on the head swaps its input ``[rows, tokens, d]`` for the gathered positions ``[1, positions, d]``. Whatever
the model does after its head (soft-capping, logit scales) still applies, and logits of positions that nobody asked for
are never made.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from jaxtyping import Float, Int
from torch import Tensor, nn

from semprune.errors import CaptureError

Places = tuple[Int[Tensor, " positions"], Int[Tensor, " positions"]]
"""Row and column of each position."""


@dataclass(frozen=True, slots=True)
class Readout:
    """What one forward gave at chosen positions.

    Attributes:
        logits: Of the first of them.
        hidden: What the head would be given at all of them.
        bare: Whether logits are the head's own output, untouched.
    """

    logits: Float[Tensor, "first vocabulary"]
    hidden: Float[Tensor, "positions d"]
    bare: bool


def head_of(model: Any) -> nn.Module:
    """Return the language-model head.

    Raises:
        CaptureError: The model has none.
    """
    head: nn.Module | None = model.get_output_embeddings()
    if head is None:
        raise CaptureError(f"{type(model).__name__} has no output embeddings, so it gives no logits")
    return head


def read_model(model: Any, inputs: Mapping[str, Tensor], places: Places, first: int | None = None) -> Readout:
    """Run a model on its inputs once, its head at chosen positions only; without a cache.

    Args:
        model: Any causal LM with a head.
        inputs: Token ids, attention mask and whatever else its forward takes, on its device.
        places: The positions.
        first: Of how many of them logits are made; None for all.

    Raises:
        CaptureError: See :func:`read_out`.
    """
    return read_out(model, lambda: model(**inputs, use_cache=False).logits, places, first)


def read_out(model: Any, forward: Callable[[], Tensor], places: Places, first: int | None = None) -> Readout:
    """Run one forward whose head reads chosen positions only.

    Source: ours.

    Args:
        model: Any causal LM with a head.
        forward: Runs the model once and returns its logits.
        places: The positions.
        first: Of how many of them logits are made; None for all.

    Raises:
        CaptureError: The model has no head, or the hook did not fire exactly once (a compiled model).
    """
    seen: list[Tensor] = []
    outputs: list[Tensor] = []
    rows, columns = places

    def gather(_: nn.Module, arguments: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        hidden = arguments[0]
        seen.append(hidden[rows.to(hidden.device), columns.to(hidden.device)])  # [positions, d]
        return (seen[-1][None, :first], *arguments[1:])

    head = head_of(model)
    hooks = [
        head.register_forward_pre_hook(gather),
        head.register_forward_hook(lambda _module, _arguments, output: outputs.append(output)),
    ]
    try:
        logits = forward()
    finally:
        for hook in hooks:
            hook.remove()
    if len(seen) != 1:
        raise CaptureError(f"the language-model head ran {len(seen)} times in one forward, expected once")
    expected = (1, len(rows) if first is None else min(first, len(rows)))
    if tuple(logits.shape[:2]) != expected:
        raise CaptureError(f"the model returned logits of shape {tuple(logits.shape)}, expected {expected} positions")
    return Readout(logits[0], seen[0], logits is outputs[0])
