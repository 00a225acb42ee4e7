"""How far a pruned model's distributions over the next token are from the dense model's; no label is needed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from semprune.errors import NonFiniteError, SettingError
from semprune.evaluation.engine.causal_lm import CausalLM, input_device
from semprune.evaluation.engine.logits import logits_of
from semprune.evaluation.engine.token_logprobs import log_softmax_blocks
from semprune.evaluation.perplexity import perplexity


@dataclass(frozen=True, slots=True)
class DenseText:
    """What is kept of the dense model on a text.

    Attributes:
        states: What its head is given at every position that predicts a token, in the model's dtype, on the CPU:
            megabytes where distributions over a vocabulary would be gigabytes.
        nll: Mean negative log-likelihood of each sequence, as :func:`semprune.evaluation.perplexity` has it.
    """

    states: Float[Tensor, "sequences positions d"]
    nll: Float[Tensor, " sequences"]


@dataclass(frozen=True, slots=True)
class TokenFidelity:
    """Two models on the same text, at every position that predicts a token.

    Attributes:
        divergence: ``KL(dense ‖ pruned)`` in nats, fp32, on the CPU.
        same_top: Whether both models find the same token likeliest.
        nll: The pruned model's mean negative log-likelihood of each sequence, of the same forwards.
    """

    divergence: Float[Tensor, "sequences positions"]
    same_top: Bool[Tensor, "sequences positions"]
    nll: Float[Tensor, " sequences"]


def dense_text(
    model: CausalLM, input_ids: Int[Tensor, "sequences tokens"], batch_size: int = 8, *, first: int = 1
) -> DenseText:
    """What :func:`token_fidelity` needs of the dense model, and its perplexity, from one forward of the text.

    Args:
        model: The dense model.
        input_ids: Sequences without padding.
        batch_size: Sequences per forward.
        first: Position of the first token that is predicted, see :func:`semprune.evaluation.perplexity`.

    Raises:
        SettingError, NonFiniteError, UnknownTokenError: See :func:`semprune.evaluation.perplexity`.
    """
    kept = _Kept()
    _, nll = perplexity(model, input_ids, batch_size, first=first, watch=kept)
    return DenseText(torch.cat(kept.parts).unflatten(0, (len(input_ids), -1)), nll)


def token_fidelity(
    model: CausalLM,
    input_ids: Int[Tensor, "sequences tokens"],
    dense: Float[Tensor, "sequences positions d"],
    batch_size: int = 8,
    *,
    first: int = 1,
) -> TokenFidelity:
    r"""Compare a pruned model with the dense one, token by token; its perplexity is of the same forwards.

    .. math:: \mathrm{KL}_t = \sum_v p_t(v) \log \frac{p_t(v)}{p'_t(v)}

    with the dense model's distribution p and the pruned one's p′ over the vocabulary, in fp32.

    Source: ``--kl-divergence`` of llama.cpp, mean KLD and "same top p". Positions are all that predict a token of the
    text; llama.cpp takes the second half of each of its chunks.

    Args:
        model: The pruned model; its head is the dense model's.
        input_ids: The same sequences as the dense model's.
        dense: Of :func:`dense_text`, made with the same ``first``.
        batch_size: Sequences per forward.
        first: Position of the first token that is predicted.

    Returns:
        Divergence and agreement at every position.

    Raises:
        SettingError: The sequences are not those of the dense states; see also :func:`semprune.evaluation.perplexity`.
        NonFiniteError: A divergence or likelihood is NaN or infinite.
    """
    positions = input_ids.shape[-1] - first
    if dense.shape[:2] != (len(input_ids), positions):
        wanted = f"states of {len(input_ids)} × {positions} positions"
        raise SettingError("dense", tuple(dense.shape), wanted)
    compared = _Compared(model, dense.flatten(0, 1))
    _, nll = perplexity(model, input_ids, batch_size, first=first, watch=compared)
    divergence, same = (torch.cat(parts).reshape(dense.shape[:2]) for parts in (compared.divergences, compared.same))
    if not divergence.isfinite().all():
        raise NonFiniteError("the divergence from the dense model")
    return TokenFidelity(divergence, same, nll)


@dataclass
class _Kept:
    """Keeps what the head is given."""

    parts: list[Tensor] = field(default_factory=list)

    def states(self, hidden: Float[Tensor, "positions d"]) -> None:
        self.parts.append(hidden.cpu())

    def block(self, logprobs: Float[Tensor, "block vocabulary"]) -> None:
        """Nothing is kept of a distribution."""


@dataclass
class _Compared:
    """Compares distributions with those of kept states, which are made in step: chunks and blocks are the same."""

    model: CausalLM
    dense: Float[Tensor, "places d"]
    divergences: list[Tensor] = field(default_factory=list)
    same: list[Tensor] = field(default_factory=list)
    _seen: int = 0
    _blocks: Iterator[Tensor] = field(default_factory=lambda: iter(()))

    def states(self, hidden: Float[Tensor, "positions d"]) -> None:
        own = self.dense[self._seen : self._seen + len(hidden)].to(input_device(self.model))
        self._seen += len(hidden)
        self._blocks = log_softmax_blocks(logits_of(self.model, own))

    def block(self, logprobs: Float[Tensor, "block vocabulary"]) -> None:
        dense = next(self._blocks).to(logprobs.device)
        self.divergences.append((dense.exp() * (dense - logprobs)).sum(-1).clamp_min(0).float().cpu())
        self.same.append((dense.argmax(-1) == logprobs.argmax(-1)).cpu())
