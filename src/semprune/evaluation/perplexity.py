"""Perplexity as the pruning papers report it: fixed-length chunks, exp of the mean token NLL."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from semprune.errors import NonFiniteError, SettingError
from semprune.evaluation.engine.causal_lm import CausalLM, check_tokens, evaluating
from semprune.evaluation.engine.token_logprobs import token_logprobs
from semprune.statistics.weighting import Array


def perplexity(
    model: CausalLM, input_ids: Int[Tensor, "sequences tokens"], batch_size: int = 8
) -> tuple[float, Float[Tensor, " sequences"]]:
    r"""Perplexity over non-overlapping sequences of one length.

    .. math:: \exp\left(\frac{1}{n(T-1)} \sum_{i=1}^{n} \sum_{t=2}^{T} -\log p(x_{it} \mid x_{i,<t})\right)

    The first token of each sequence predicts nothing and is not predicted. Logits are made in bounded chunks.

    Source: equations.md (the pruning papers' convention, not the harness's word perplexity).

    Args:
        model: Any causal LM with a head.
        input_ids: Sequences without padding.
        batch_size: Sequences per forward.

    Returns:
        The perplexity, and each sequence's mean NLL in nats (float64, CPU).

    Raises:
        SettingError: If there is no sequence, or sequences of fewer than two tokens.
        NonFiniteError: If a sequence's NLL is NaN or infinite.
        UnknownTokenError: If the model has no embedding for a token.
    """
    if input_ids.ndim != 2 or not len(input_ids) or input_ids.shape[1] < 2:
        raise SettingError("input_ids", tuple(input_ids.shape), "at least one sequence of at least two tokens")
    check_tokens(model, input_ids.unique().tolist())
    with evaluating(model):
        nll = torch.cat([_sequence_nll(model, batch) for batch in torch.split(input_ids, batch_size)])
    if not nll.isfinite().all():
        raise NonFiniteError("the negative log-likelihood of a sequence")
    return float(nll.mean().exp()), nll


def _sequence_nll(model: CausalLM, input_ids: Int[Tensor, "sequences tokens"]) -> Float[Tensor, " sequences"]:
    """Mean NLL of each sequence of one batch."""
    inputs = input_ids[:, :-1]  # the last token predicts nothing that is known
    rows, positions = torch.ones_like(inputs).nonzero(as_tuple=True)
    logprobs, _ = token_logprobs(model, inputs, torch.ones_like(inputs), rows, positions, input_ids[:, 1:].reshape(-1))
    return -logprobs.cpu().double().reshape(inputs.shape).mean(dim=1)


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
