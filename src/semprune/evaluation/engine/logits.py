"""Only the logits that are needed, from any Hugging Face causal LM, through the model's own forward.

A pre-hook on the language-model head swaps its input ``[rows, tokens, d]`` for the gathered positions
``[1, positions, d]``. Whatever the model does after its head (soft-capping, logit scales) still applies,
and logits of positions that nobody asked for are never made.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from semprune.errors import CaptureError
from semprune.evaluation.engine.causal_lm import CausalLM, input_device
from semprune.evaluation.engine.tree_attention import TreeRows, tree_inputs

LOGIT_ELEMENTS = {"cpu": 2**26, "cuda": 2**29}
"""Positions times vocabulary that may exist at once: 256 MB in fp32 on CPU, 2 GB on a GPU (ours)."""


@dataclass(slots=True)
class _Seen:
    """What passed the head in one forward."""

    hidden: Float[Tensor, "positions d"] | None = None
    output: Tensor | None = None
    calls: int = 0


@contextmanager
def _replaced_input(
    head: nn.Module, rows: Int[Tensor, " positions"], positions: Int[Tensor, " positions"], first: int
) -> Iterator[_Seen]:
    """Give the head only the first ``first`` of the gathered positions; keep all of their hidden states."""
    seen = _Seen()

    def gather(_: nn.Module, arguments: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        seen.calls += 1
        hidden = arguments[0]
        seen.hidden = hidden[rows.to(hidden.device), positions.to(hidden.device)]  # [positions, d]
        return (seen.hidden[None, :first], *arguments[1:])

    def keep(_: nn.Module, __: tuple[Tensor, ...], output: Tensor) -> None:
        seen.output = output

    hooks = [head.register_forward_pre_hook(gather), head.register_forward_hook(keep)]
    try:
        yield seen
    finally:
        for hook in hooks:
            hook.remove()


def _gathered_forward(
    model: CausalLM,
    head: nn.Module,
    inputs: dict[str, Any],
    rows: Int[Tensor, " positions"],
    positions: Int[Tensor, " positions"],
    first: int,
) -> tuple[Float[Tensor, "first vocabulary"], Float[Tensor, "positions d"], bool]:
    """Run one forward; return the first logits, all hidden states, and whether logits are the head's bare output."""
    with _replaced_input(head, rows, positions, first) as seen:
        logits: Tensor = model(**inputs, use_cache=False).logits
    if seen.calls != 1 or seen.hidden is None:
        raise CaptureError(f"the language-model head ran {seen.calls} times in one forward, expected once")
    expected = (1, min(first, len(positions)))
    if tuple(logits.shape[:2]) != expected:
        raise CaptureError(f"the model returned logits of shape {tuple(logits.shape)}, expected {expected} positions")
    return logits[0], seen.hidden, logits is seen.output


def logits_at(
    model: CausalLM,
    input_ids: Int[Tensor, "rows tokens"],
    attention_mask: Int[Tensor, "rows tokens"],
    rows: Int[Tensor, " positions"],
    positions: Int[Tensor, " positions"],
    *,
    trees: TreeRows | None = None,
    elements: int | None = None,
    states: Callable[[Float[Tensor, "positions d"]], None] | None = None,
) -> Iterator[Float[Tensor, "chunk vocabulary"]]:
    """Logits at chosen positions, in chunks of bounded size; one forward of the body in all.

    The first chunk comes out of the forward itself. Later chunks go through the head alone where the model
    returns the head's output untouched, else through the model's forward on a single token whose hidden state
    is swapped for the chunk, so that any transformation after the head is the model's own.

    Source: ours.

    Args:
        model: Any causal LM with a head.
        input_ids: Right-padded token ids.
        attention_mask: 1 for tokens, 0 for padding.
        rows: Row of each wanted position.
        positions: Column of each wanted position.
        trees: Where the rows are packed prefix trees; only for models that
            :func:`semprune.evaluation.engine.tree_attention.reads_trees`.
        elements: Most positions × vocabulary at once; None takes :data:`LOGIT_ELEMENTS` for the device.
        states: Is given what the head is given at all of these positions, before the first logits come.

    Yields:
        Logits in the model's dtype, in the order of ``positions``.

    Raises:
        CaptureError: If the model has no head, or the hook did not fire exactly once (a compiled model).
    """
    head = _head(model)
    device = input_device(model)
    size = _chunk_size(head, device, elements)
    inputs: dict[str, Any] = {"input_ids": input_ids.to(device), "attention_mask": attention_mask.to(device)}
    token = {name: values[:1, :1] for name, values in inputs.items()}
    if trees is not None:
        inputs |= tree_inputs(model, TreeRows(trees.depth.to(device), trees.reach.to(device)))
    logits, hidden, bare = _gathered_forward(model, head, inputs, rows, positions, size)
    if states is not None:
        states(hidden)
    yield logits
    del logits, inputs
    for chunk in torch.split(hidden, size)[1:]:
        yield head(chunk[None])[0] if bare else _replayed(model, head, token, chunk)


def logits_of(
    model: CausalLM, hidden: Float[Tensor, "positions d"], *, elements: int | None = None
) -> Iterator[Float[Tensor, "chunk vocabulary"]]:
    """Logits of stored hidden states, in the chunks of :func:`logits_at`, with whatever the model does after its head.

    A head that no method prunes makes the same logits of them at any time: a dense model's distributions over a
    vocabulary are kept as its hidden states, which are some hundred times smaller.

    Args:
        model: The model, or one with the same head.
        hidden: What ``states`` of :func:`logits_at` was given.
        elements: Most positions × vocabulary at once; None takes :data:`LOGIT_ELEMENTS` for the device.

    Yields:
        Logits in the model's dtype.
    """
    head, device = _head(model), input_device(model)
    one = torch.ones((1, 1), dtype=torch.long, device=device)
    for chunk in torch.split(hidden, _chunk_size(head, device, elements)):
        yield _replayed(model, head, {"input_ids": one, "attention_mask": one}, chunk)


def _chunk_size(head: Any, device: torch.device, elements: int | None) -> int:
    elements = elements or LOGIT_ELEMENTS.get(device.type, LOGIT_ELEMENTS["cpu"])
    return max(1, elements // int(head.weight.shape[0]))


def _head(model: CausalLM) -> Any:
    head = model.get_output_embeddings()
    if head is None:
        raise CaptureError(f"{type(model).__name__} has no output embeddings, so it gives no logits")
    return head


def _replayed(
    model: CausalLM, head: nn.Module, token: dict[str, Tensor], chunk: Float[Tensor, "chunk d"]
) -> Float[Tensor, "chunk vocabulary"]:
    """Logits of stored hidden states, through the model's forward on one token."""
    hook = head.register_forward_pre_hook(lambda _, arguments: (chunk[None], *arguments[1:]))
    try:
        logits: Tensor = model(**token, use_cache=False).logits
    finally:
        hook.remove()
    return logits[0]
