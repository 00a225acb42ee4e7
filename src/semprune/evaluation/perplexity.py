"""Perplexity as the pruning papers report it: fixed-length chunks, exp of the mean token NLL."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from semprune.errors import NonFiniteError, SettingError
from semprune.evaluation.engine.causal_lm import CausalLM, check_tokens, evaluating
from semprune.evaluation.engine.token_logprobs import Watch, token_logprobs
from semprune.statistics.weighting import Array


def perplexity(
    model: CausalLM,
    input_ids: Int[Tensor, "sequences tokens"],
    batch_size: int = 8,
    *,
    first: int = 1,
    watch: Watch | None = None,
) -> tuple[float, Float[Tensor, " sequences"]]:
    r"""Perplexity over non-overlapping sequences of one length.

    .. math:: \exp\left(\frac{1}{n(T-f)} \sum_{i=1}^{n} \sum_{t=f+1}^{T} -\log p(x_{it} \mid x_{i,<t})\right)

    The first token of each sequence is not predicted, nor are the others of its special tokens. Logits are made in
    bounded chunks.

    Source: equations.md (the pruning papers' convention, not the harness's word perplexity).

    Args:
        model: Any causal LM with a head.
        input_ids: Sequences without padding.
        batch_size: Sequences per forward.
        first: Position of the first token that is predicted, f above: 1, or the number of special tokens that each
            sequence begins with.
        watch: Sees the distributions at all positions that predict, batch by batch.

    Returns:
        The perplexity, and each sequence's mean NLL in nats (float64, CPU).

    Raises:
        SettingError: If there is no sequence, or sequences of fewer than two tokens, or ``first`` is none of them.
        NonFiniteError: If a sequence's NLL is NaN or infinite.
        UnknownTokenError: If the model has no embedding for a token.
    """
    if input_ids.ndim != 2 or not len(input_ids) or input_ids.shape[1] < 2:
        raise SettingError("input_ids", tuple(input_ids.shape), "at least one sequence of at least two tokens")
    if not 1 <= first < input_ids.shape[1]:
        raise SettingError("first", first, f"a position from 1 to {input_ids.shape[1] - 1}")
    check_tokens(model, input_ids.unique().tolist())
    with evaluating(model):
        nll = torch.cat([_sequence_nll(model, batch, first, watch) for batch in torch.split(input_ids, batch_size)])
    if not nll.isfinite().all():
        raise NonFiniteError("the negative log-likelihood of a sequence")
    return float(nll.mean().exp()), nll


def _sequence_nll(
    model: CausalLM, input_ids: Int[Tensor, "sequences tokens"], first: int, watch: Watch | None
) -> Float[Tensor, " sequences"]:
    """Mean NLL of each sequence of one batch."""
    inputs = input_ids[:, :-1]  # the last token predicts nothing that is known
    targets = input_ids[:, first:]
    rows, positions = torch.ones_like(targets).nonzero(as_tuple=True)
    logprobs, _ = token_logprobs(
        model, inputs, torch.ones_like(inputs), rows, positions + first - 1, targets.reshape(-1), watch=watch
    )
    return -logprobs.cpu().double().reshape(targets.shape).mean(dim=1)


def perplexity_of(
    nll: Float[np.ndarray, " sequences"], weights: Float[np.ndarray, "*resamples sequences"]
) -> Float[np.ndarray, "*resamples"]:
    """Perplexity of sequences of one length from their mean NLLs, each counted as often as its weight says.

    Args:
        nll: Mean NLL of each sequence, in nats.
        weights: Multiplicities.

    Returns:
        One perplexity per resample.

    Example:
        >>> perplexity_of(np.log([2.0, 8.0]), np.ones((1, 2))).round(6).tolist()
        [4.0]
    """
    value: Array = np.exp(weights @ nll / weights.sum(axis=-1))
    return value
