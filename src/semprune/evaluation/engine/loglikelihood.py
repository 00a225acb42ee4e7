"""Log-likelihoods of continuations: of a batch of items, and of any (context, continuation) pairs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from semprune.data.batches.encoding import EncodedRequest, check_tokenizer, encode_request, padding_token
from semprune.data.subject import context_length
from semprune.errors import NonFiniteError
from semprune.evaluation.engine.causal_lm import CausalLM
from semprune.evaluation.engine.engine import Engine, TokenBudget
from semprune.types import ScoringBatch


def score_batch(
    model: CausalLM, batch: ScoringBatch, *, engine: Engine | None = None
) -> tuple[Float[Tensor, " requests"], Bool[Tensor, " requests"]]:
    r"""Log-likelihood of every request of a batch, in one forward where memory allows it.

    .. math:: \ell_r = \sum_{k=0}^{K_r-1} \log p(y_{rk} \mid x_{\le s_r + k})

    Only the logits that predict a target are made. What requests share, within items and between them, is computed
    once where the model allows it (:func:`semprune.evaluation.engine.tree_attention.reads_trees`).

    Source: equations.md.

    Args:
        model: Any causal LM with a head.
        batch: Rows and requests; may hold none.
        engine: The model's engine, which remembers how much fits in memory; None starts anew.

    Returns:
        Summed log-probabilities in nats (float64, CPU), and whether each token was the likeliest (CPU).

    Raises:
        NonFiniteError: If a log-probability is NaN or infinite.
        OutOfMemoryError: If memory runs out and the batch cannot be smaller.
        CaptureError: If the model has no head, or is compiled.
    """
    # A rank whose share is empty has no requests, and its model is not asked: models refuse inputs of no rows.
    requests = batch_requests(batch)
    sums = torch.zeros(len(requests), dtype=torch.float64)
    greedy = torch.zeros(len(requests), dtype=torch.bool)
    for scored in (engine or Engine(model, padding=0)).score(requests):
        own = torch.tensor(scored.requests)
        sums[own], greedy[own] = torch.tensor(scored.sums, dtype=torch.float64), torch.tensor(scored.greedy)
    if not sums.isfinite().all():
        datasets = ", ".join(sorted({f"'{item.dataset}'" for item in batch.items}))
        raise NonFiniteError(f"a log-likelihood in {datasets}")
    return sums, greedy


def batch_requests(batch: ScoringBatch) -> list[EncodedRequest]:
    """Requests of a batch as token ids, each with its whole input."""
    rows, row = batch.input_ids.tolist(), batch.row.tolist()
    made = []
    for index, (start, padded) in enumerate(zip(batch.start.tolist(), batch.targets.tolist(), strict=True)):
        targets = tuple(token for token in padded if token >= 0)
        made.append(EncodedRequest(tuple(rows[row[index]][: start + len(targets)]), targets, start))
    return made


def loglikelihood(
    model: CausalLM,
    tokenizer: Any,
    requests: Sequence[tuple[str, str]],
    *,
    max_length: int | None = None,
    token_budget: TokenBudget = "auto",
) -> list[tuple[float, bool]]:
    """Log-likelihood of continuations given contexts, by any Hugging Face causal LM in memory.

    Encoded as the field's harness does: see :func:`semprune.data.batches.encoding.encode_request`; contexts that are
    too long lose their beginning. What requests share is computed once, see
    :class:`semprune.evaluation.engine.engine.Engine`.

    Source: equations.md; EleutherAI's lm-evaluation-harness.

    Args:
        model: Any causal LM with a head, in any mode; it is left as it was.
        tokenizer: Its tokenizer.
        requests: (context, continuation) pairs; the continuation with its leading space.
        max_length: Tokens that the model can read; None asks
            :func:`semprune.data.subject.context_length`.
        token_budget: Most tokens of one forward; ``auto`` is halved whenever memory runs out.

    Returns:
        For each request, in their order: the summed log-probability in nats, and whether greedy decoding would
        give exactly this continuation.

    Raises:
        ConfigurationError: If a continuation has no tokens of its own, or a context is empty and the tokenizer
            has neither BOS nor EOS.
        PromptTooLongError: If a continuation alone exceeds ``max_length``.
        NonFiniteError: If a log-probability is NaN or infinite.
        OutOfMemoryError: If memory runs out and the batches cannot be smaller.
    """
    check_tokenizer(tokenizer)
    limit = max_length or context_length(model, tokenizer)
    encoded = [
        encode_request(tokenizer, context, continuation, limit, truncate="left", item=str(index))
        for index, (context, continuation) in enumerate(requests)
    ]
    return score_encoded(Engine(model, padding_token(tokenizer), token_budget), encoded)


def score_encoded(engine: Engine, requests: Sequence[EncodedRequest]) -> list[tuple[float, bool]]:
    """Log-likelihoods of encoded requests, in their order.

    Args:
        engine: Scores them.
        requests: Encoded requests.

    Returns:
        See :func:`loglikelihood`.

    Raises:
        NonFiniteError: If a log-probability is NaN or infinite.
        OutOfMemoryError: If memory runs out and the batches cannot be smaller.
    """
    results: dict[int, tuple[float, bool]] = {}
    for scored in engine.score(requests):
        if not torch.tensor(scored.sums).isfinite().all():
            raise NonFiniteError("a log-likelihood")
        results.update(zip(scored.requests, zip(scored.sums, scored.greedy, strict=True), strict=True))
    return [results[index] for index in range(len(requests))]
