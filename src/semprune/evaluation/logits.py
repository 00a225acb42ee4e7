"""Only the logits that are needed, from any Hugging Face causal LM, through the model's own forward.

A pre-hook on the language-model head swaps its input ``[rows, tokens, d]`` for the gathered positions
``[1, positions, d]``. Whatever the model does after its head (soft-capping, logit scales) still applies,
and logits of positions that nobody asked for are never made.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol, cast

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from semprune.errors import CaptureError

LOGIT_ELEMENTS = {"cpu": 2**26, "cuda": 2**29}
"""Positions times vocabulary that may exist at once: 256 MB in fp32 on CPU, 2 GB on a GPU (ours)."""

_BLOCK_ELEMENTS = {"cpu": 2**20, "cuda": 2**27}  # of a log-softmax: 4 MB stay in a CPU's cache


class CausalLM(Protocol):
    """What is asked of a model: Hugging Face's own interface, without importing it."""

    def __call__(self, **inputs: Any) -> Any:
        """Run the forward; the result has ``logits``."""

    def get_input_embeddings(self) -> Any:
        """Return the embedding, whose device is where inputs go."""

    def get_output_embeddings(self) -> Any:
        """Return the language-model head."""


@dataclass(slots=True)
class _Seen:
    """What passed the head in one forward."""

    hidden: Float[Tensor, "positions d"] | None = None
    output: Tensor | None = None
    calls: int = 0


@contextmanager
def evaluating(model: CausalLM) -> Iterator[None]:
    """Eval mode and no gradients, for the block; each submodule's own mode is restored, also on exceptions.

    Args:
        model: Any model. A dropout that was left in train mode would make scores random.
    """
    training = [module for module in cast(nn.Module, model).modules() if module.training]
    for module in training:
        module.training = False
    try:
        with torch.inference_mode():
            yield
    finally:
        for module in training:
            module.training = True


def input_device(model: CausalLM) -> torch.device:
    """Return the device on which the model expects its input ids."""
    device: torch.device = model.get_input_embeddings().weight.device
    return device


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
    inputs: dict[str, Tensor],
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
    elements: int | None = None,
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
        elements: Most positions × vocabulary at once; None takes :data:`LOGIT_ELEMENTS` for the device.

    Yields:
        Logits in the model's dtype, in the order of ``positions``.

    Raises:
        CaptureError: If the model has no head, or the hook did not fire exactly once (a compiled model).
    """
    head = model.get_output_embeddings()
    if head is None:
        raise CaptureError(f"{type(model).__name__} has no output embeddings, so it gives no logits")
    device = input_device(model)
    elements = elements or LOGIT_ELEMENTS.get(device.type, LOGIT_ELEMENTS["cpu"])
    size = max(1, elements // int(head.weight.shape[0]))
    inputs = {"input_ids": input_ids.to(device), "attention_mask": attention_mask.to(device)}
    logits, hidden, bare = _gathered_forward(model, head, inputs, rows, positions, size)
    yield logits
    del logits
    token = {name: values[:1, :1] for name, values in inputs.items()}
    for chunk in torch.split(hidden, size)[1:]:
        yield head(chunk[None])[0] if bare else _replayed(model, head, token, chunk)


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


def token_logprobs(
    model: CausalLM,
    input_ids: Int[Tensor, "rows tokens"],
    attention_mask: Int[Tensor, "rows tokens"],
    rows: Int[Tensor, " targets"],
    positions: Int[Tensor, " targets"],
    targets: Int[Tensor, " targets"],
    *,
    elements: int | None = None,
) -> tuple[Float[Tensor, " targets"], Bool[Tensor, " targets"]]:
    """Log-probability of each target token at its position, and whether it is the likeliest token.

    Targets that share a position (choices of one context) share its logits. The log-softmax is in fp32 (float64
    for a float64 model).

    Source: SCIENCE §6.

    Args:
        model: Any causal LM with a head.
        input_ids: Right-padded token ids.
        attention_mask: 1 for tokens, 0 for padding.
        rows: Row of each target.
        positions: Position in the row whose logits predict the target.
        targets: Token ids.
        elements: Most positions × vocabulary at once, see :func:`logits_at`.

    Returns:
        Log-probabilities in nats, at most 0, and the greedy flags; both on the model's output device.

    Raises:
        CaptureError: See :func:`logits_at`.
    """
    width = input_ids.shape[1]
    wanted, place = torch.unique(rows * width + positions, return_inverse=True)
    order = place.argsort(stable=True)
    counts = torch.bincount(place, minlength=len(wanted)).cumsum(0).tolist()
    chunks = logits_at(model, input_ids, attention_mask, wanted // width, wanted % width, elements=elements)
    values: list[Tensor] = []
    greedy: list[Tensor] = []
    first = 0
    for block in _log_softmax_blocks(chunks):
        own = order[counts[first - 1] if first else 0 : counts[first + len(block) - 1] if len(block) else 0]
        at, target = (place[own] - first).to(block.device), targets[own].to(block.device)
        values.append(block[at, target])
        greedy.append(_is_greedy(block, at, target))
        first += len(block)
    back = order.argsort().to(values[0].device)
    return torch.cat(values)[back], torch.cat(greedy)[back]


def _log_softmax_blocks(
    chunks: Iterator[Float[Tensor, "chunk vocabulary"]],
) -> Iterator[Float[Tensor, "block vocabulary"]]:
    """Log-probabilities in fp32 or better, a few positions at a time.

    The fused log-softmax is twelve times faster than ``logsumexp`` on CPU (65 against 850 µs of one core for a
    vocabulary of 49,152), as long as its output stays in the cache.
    """
    for chunk in chunks:
        exact = torch.promote_types(chunk.dtype, torch.float32)
        elements = _BLOCK_ELEMENTS.get(chunk.device.type, _BLOCK_ELEMENTS["cpu"])
        for block in torch.split(chunk, max(1, elements // chunk.shape[1])):
            yield block.log_softmax(-1, dtype=exact)


def _is_greedy(
    block: Float[Tensor, "block vocabulary"], at: Int[Tensor, " targets"], target: Int[Tensor, " targets"]
) -> Bool[Tensor, " targets"]:
    """Whether the target is the first of the likeliest tokens; the slow argmax runs only where it may be."""
    greedy = block[at, target] == block.amax(-1)[at]
    likely = greedy.nonzero()[:, 0]
    greedy[likely] = block[at[likely]].argmax(-1) == target[likely]
    return greedy
