"""Log-likelihoods of continuations: batches of rows, and the requests that are read from them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from semprune.data.batching import EncodedItem, scoring_batch
from semprune.data.encoding import EncodedRequest, check_tokenizer, encode_request, padding_token
from semprune.data.sampling import within_budget
from semprune.errors import NonFiniteError
from semprune.evaluation.causal_lm import CausalLM, context_length, evaluating
from semprune.evaluation.token_logprobs import token_logprobs
from semprune.types import Item, ScoringBatch


def score_batch(model: CausalLM, batch: ScoringBatch) -> tuple[Float[Tensor, " requests"], Bool[Tensor, " requests"]]:
    r"""Log-likelihood of every request of a batch, in one forward.

    .. math:: \ell_r = \sum_{k=0}^{K_r-1} \log p(y_{rk} \mid x_{\le s_r + k})

    Only the logits at positions ``start .. start + K - 1`` are made; requests that share a row and a position
    share them.

    Source: SCIENCE §6.

    Args:
        model: Any causal LM with a head.
        batch: Rows and requests; may hold none.

    Returns:
        Summed log-probabilities in nats (float64, CPU), and whether each token was the likeliest (CPU).

    Raises:
        NonFiniteError: If a log-probability is NaN or infinite.
        CaptureError: If the model has no head, or is compiled.
    """
    if not len(batch.targets):  # a rank whose share is empty; models refuse inputs of no rows
        return torch.zeros(0, dtype=torch.float64), torch.zeros(0, dtype=torch.bool)
    wanted = batch.targets >= 0  # [requests, longest]
    steps = torch.arange(batch.targets.shape[1], device=batch.targets.device)
    request, step = wanted.nonzero(as_tuple=True)
    with evaluating(model):
        logprobs, greedy = token_logprobs(
            model,
            batch.input_ids,
            batch.attention_mask,
            batch.row[request],
            (batch.start[:, None] + steps)[request, step],
            batch.targets[request, step],
        )
    logprobs, greedy, request = logprobs.cpu(), greedy.cpu(), request.cpu()
    if not logprobs.isfinite().all():
        datasets = ", ".join(sorted({f"'{item.dataset}'" for item in batch.items}))
        raise NonFiniteError(f"a log-likelihood in {datasets}")
    count = len(batch.targets)
    sums = torch.zeros(count, dtype=torch.float64).index_add_(0, request, logprobs.double())
    misses = torch.zeros(count, dtype=torch.int64).index_add_(0, request, (~greedy).long())
    return sums, misses == 0


def loglikelihood(
    model: CausalLM,
    tokenizer: Any,
    requests: Sequence[tuple[str, str]],
    *,
    max_length: int | None = None,
    token_budget: int = 4096,
) -> list[tuple[float, bool]]:
    """Log-likelihood of continuations given contexts, by any Hugging Face causal LM in memory.

    Encoded as the field's harness does: see :func:`semprune.data.encoding.encode_request`; contexts that are too
    long lose their beginning. Requests whose inputs begin alike to the end of the shorter one are read from one
    row, rows of similar length share a batch.

    Source: SCIENCE §6; EleutherAI's lm-evaluation-harness.

    Args:
        model: Any causal LM with a head, in any mode; it is left as it was.
        tokenizer: Its tokenizer.
        requests: (context, continuation) pairs; the continuation with its leading space.
        max_length: Tokens that the model can read; None asks :func:`semprune.evaluation.causal_lm.context_length`.
        token_budget: Most rows × longest row of one forward. 4096 keeps a 135M model's activations under 1 GB.

    Returns:
        For each request, in their order: the summed log-probability in nats, and whether greedy decoding would
        give exactly this continuation.

    Raises:
        ConfigurationError: If a continuation has no tokens of its own, or a context is empty and the tokenizer
            has neither BOS nor EOS.
        PromptTooLongError: If a continuation alone exceeds ``max_length``.
        NonFiniteError: If a log-probability is NaN or infinite.
    """
    check_tokenizer(tokenizer)
    limit = max_length or context_length(model, tokenizer)
    encoded = [
        encode_request(tokenizer, context, continuation, limit, truncate="left", item=str(index))
        for index, (context, continuation) in enumerate(requests)
    ]
    rows = pool_rows(encoded)
    lengths = [item.longest for item, _ in rows]
    results: dict[int, tuple[float, bool]] = {}
    for batch in within_budget([1] * len(rows), lengths, token_budget)(0):
        items = scoring_batch([rows[index][0] for index in batch], padding_token(tokenizer))
        order = [request for index in batch for request in rows[index][1]]
        sums, greedy = score_batch(model, items)
        results.update(zip(order, zip(sums.tolist(), greedy.tolist(), strict=True), strict=True))
    return [results[index] for index in range(len(requests))]


def pool_rows(requests: Sequence[EncodedRequest]) -> list[tuple[EncodedItem, list[int]]]:
    """Group requests by the row that answers them: an input that begins another needs no row of its own.

    In lexicographic order everything that begins with an input follows it directly, so one pass from the end
    finds all shared beginnings.

    Args:
        requests: Encoded requests.

    Returns:
        One single-row item for each remaining row, and the indices of its requests.

    Example:
        >>> requests = [EncodedRequest((5, 6), (1,), 1), EncodedRequest((8,), (2,), 0), EncodedRequest((5,), (6,), 0)]
        >>> [(item.rows, indices) for item, indices in pool_rows(requests)]
        [(((8,),), [1]), (((5, 6),), [0, 2])]
    """
    order = sorted(range(len(requests)), key=lambda index: requests[index].input_ids, reverse=True)
    groups: list[tuple[tuple[int, ...], list[int]]] = []
    for index in order:
        tokens = requests[index].input_ids
        if groups and groups[-1][0][: len(tokens)] == tokens:
            groups[-1][1].append(index)
        else:
            groups.append((tokens, [index]))
    return [
        (_single_row_item(tokens, [requests[index] for index in sorted(indices)]), sorted(indices))
        for tokens, indices in groups
    ]


def _single_row_item(tokens: tuple[int, ...], requests: Sequence[EncodedRequest]) -> EncodedItem:
    """All of these requests on one row."""
    item = Item("requests", "", "", (), 0, "")
    return EncodedItem(item, tuple(requests), (tokens,), (0,) * len(requests))
