"""How far a pruned model's distributions over the next token are from the dense model's; no label is needed."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from semprune.errors import NonFiniteError, SettingError
from semprune.evaluation.engine.causal_lm import CausalLM, evaluating
from semprune.evaluation.engine.logits import head_states, logits_of

_BLOCK_ELEMENTS = {"cpu": 2**21, "cuda": 2**27}  # positions times vocabulary of two distributions at once


@dataclass(frozen=True, slots=True)
class TokenFidelity:
    """Two models on the same text, at every position that predicts a token.

    Attributes:
        divergence: ``KL(dense ‖ pruned)`` in nats, fp32, on the CPU.
        same_top: Whether both models find the same token likeliest.
    """

    divergence: Float[Tensor, "sequences positions"]
    same_top: Bool[Tensor, "sequences positions"]


def dense_states(
    model: CausalLM, input_ids: Int[Tensor, "sequences tokens"], batch_size: int = 8
) -> Float[Tensor, "sequences positions d"]:
    """What :func:`token_fidelity` needs of the dense model: what its head is given, a few megabytes.

    Args:
        model: The dense model.
        input_ids: Sequences without padding.
        batch_size: Sequences per forward.

    Returns:
        Hidden states on the CPU, in the model's dtype.

    Raises:
        SettingError: There is no sequence, or sequences of fewer than two tokens.
        CaptureError: See :func:`semprune.evaluation.engine.logits.logits_at`.
    """
    _check(input_ids)
    positions = torch.arange(input_ids.shape[1] - 1)
    with evaluating(model):
        parts = [head_states(model, batch, positions).cpu() for batch in torch.split(input_ids, batch_size)]
    return torch.cat(parts)


def token_fidelity(
    model: CausalLM,
    input_ids: Int[Tensor, "sequences tokens"],
    dense: Float[Tensor, "sequences positions d"],
    batch_size: int = 8,
) -> TokenFidelity:
    r"""Compare a pruned model with the dense one, token by token.

    .. math:: \mathrm{KL}_t = \sum_v p_t(v) \log \frac{p_t(v)}{p'_t(v)}

    with the dense model's distribution p and the pruned one's p′ over the vocabulary, in fp32.

    Source: ``--kl-divergence`` of llama.cpp, KL divergence and "same top p"; flips in arXiv 2407.09141. Positions are
    all that predict a token of the text; llama.cpp takes the second half of each of its chunks.

    Args:
        model: The pruned model; its head is the dense model's.
        input_ids: The same sequences as the dense model's.
        dense: Of :func:`dense_states`.
        batch_size: Sequences per forward.

    Returns:
        Divergence and agreement at every position.

    Raises:
        SettingError: The sequences are not those of the dense states.
        NonFiniteError: A divergence is NaN or infinite.
    """
    _check(input_ids)
    if dense.shape[:2] != (len(input_ids), input_ids.shape[1] - 1):
        wanted = f"states of {len(input_ids)} × {input_ids.shape[1] - 1} positions"
        raise SettingError("dense", tuple(dense.shape), wanted)
    positions = torch.arange(input_ids.shape[1] - 1)
    parts = []
    with evaluating(model):
        for batch, before in zip(torch.split(input_ids, batch_size), torch.split(dense, batch_size), strict=True):
            after = head_states(model, batch, positions)
            parts.append(_compared(model, before.to(after.device), after))
    divergence, same = (torch.cat(part).reshape(dense.shape[:2]) for part in zip(*parts, strict=True))
    if not divergence.isfinite().all():
        raise NonFiniteError("the divergence from the dense model")
    return TokenFidelity(divergence, same)


def _compared(
    model: CausalLM, before: Float[Tensor, "rows positions d"], after: Float[Tensor, "rows positions d"]
) -> tuple[Float[Tensor, " places"], Bool[Tensor, " places"]]:
    """Divergence and agreement at all positions of a batch, some at a time."""
    states = torch.stack([before.flatten(0, 1), after.flatten(0, 1)], dim=1)  # [places, 2, d]
    vocabulary = int(model.get_output_embeddings().weight.shape[0])
    elements = _BLOCK_ELEMENTS.get(states.device.type, _BLOCK_ELEMENTS["cpu"])
    divergences, same = [], []
    for block in torch.split(states, max(1, elements // vocabulary)):
        logits = logits_of(model, block.flatten(0, 1)).unflatten(0, (-1, 2))
        dense, pruned = logits.log_softmax(-1, dtype=torch.promote_types(logits.dtype, torch.float32)).unbind(1)
        divergences.append((dense.exp() * (dense - pruned)).sum(-1).clamp_min(0).float().cpu())
        same.append((dense.argmax(-1) == pruned.argmax(-1)).cpu())
    return torch.cat(divergences), torch.cat(same)


def _check(input_ids: Int[Tensor, "sequences tokens"]) -> None:
    if input_ids.ndim != 2 or not len(input_ids) or input_ids.shape[1] < 2:
        raise SettingError("input_ids", tuple(input_ids.shape), "at least one sequence of at least two tokens")
