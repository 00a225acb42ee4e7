"""Scores of the requests of a packed batch."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from semprune.evaluation.engine.causal_lm import CausalLM, evaluating
from semprune.evaluation.engine.packing import PackedBatch
from semprune.evaluation.engine.token_logprobs import token_logprobs


@dataclass(frozen=True, slots=True)
class Scored:
    """Scores of the requests of one batch.

    Attributes:
        requests: Their indices.
        sums: Summed log-probability of each, in nats.
        greedy: Whether greedy decoding would give exactly this continuation.
    """

    requests: tuple[int, ...]
    sums: tuple[float, ...]
    greedy: tuple[bool, ...]


def score_packed(model: CausalLM, batch: PackedBatch) -> Scored:
    """Log-likelihoods of the requests of a packed batch, in one forward.

    Args:
        model: Any causal LM with a head.
        batch: The rows.

    Returns:
        The scores, in the order of the requests' indices.

    Raises:
        CaptureError: If the model has no head, or is compiled.
    """
    with evaluating(model):
        logprobs, greedy = token_logprobs(
            model, batch.input_ids, batch.attention_mask, batch.row, batch.position, batch.target, trees=batch.trees
        )
    requests, place = batch.request.unique(return_inverse=True)
    sums = torch.zeros(len(requests), dtype=torch.float64).index_add_(0, place, logprobs.cpu().double())
    misses = torch.zeros(len(requests), dtype=torch.int64).index_add_(0, place, (~greedy).cpu().long())
    return Scored(tuple(requests.tolist()), tuple(sums.tolist()), tuple((misses == 0).tolist()))
