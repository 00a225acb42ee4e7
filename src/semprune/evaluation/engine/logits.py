"""Only the logits that are needed, in chunks of bounded size, from any Hugging Face causal LM."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from semprune.backbones.readout import head_of, read_model
from semprune.evaluation.engine.causal_lm import CausalLM, input_device
from semprune.evaluation.engine.tree_attention import TreeRows, tree_inputs

LOGIT_ELEMENTS = {"cpu": 2**26, "cuda": 2**29}
"""Positions times vocabulary that may exist at once: 256 MB in fp32 on CPU, 2 GB on a GPU (ours)."""


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
    head, device = head_of(model), input_device(model)
    size = _chunk_size(head, device, elements)
    inputs: dict[str, Any] = {"input_ids": input_ids.to(device), "attention_mask": attention_mask.to(device)}
    token = {name: values[:1, :1] for name, values in inputs.items()}
    if trees is not None:
        inputs |= tree_inputs(model, TreeRows(trees.depth.to(device), trees.reach.to(device)))
    found = read_model(model, inputs, (rows, positions), size)
    hidden, bare = found.hidden, found.bare
    if states is not None:
        states(hidden)
    yield found.logits
    del found
    inputs.clear()
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
    head, device = head_of(model), input_device(model)
    one = torch.ones((1, 1), dtype=torch.long, device=device)
    for chunk in torch.split(hidden, _chunk_size(head, device, elements)):
        yield _replayed(model, head, {"input_ids": one, "attention_mask": one}, chunk)


def _chunk_size(head: Any, device: torch.device, elements: int | None) -> int:
    elements = elements or LOGIT_ELEMENTS.get(device.type, LOGIT_ELEMENTS["cpu"])
    return max(1, elements // int(head.weight.shape[0]))


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
