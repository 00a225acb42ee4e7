"""Log-likelihoods of any (context, continuation) pairs, and of requests that are encoded already."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from semprune.backbones.backbone import Backbone
from semprune.data.batches.encoding import EncodedRequest, encode_request, padding_token
from semprune.data.batches.special_tokens import check_tokenizer
from semprune.data.subject import subject_of
from semprune.errors import NonFiniteError
from semprune.evaluation.engine.causal_lm import CausalLM
from semprune.evaluation.engine.request_scorer import Engine
from semprune.ranges import checked
from semprune.types import Count, TokenBudget


@checked
def loglikelihood(
    model: CausalLM | Backbone,
    tokenizer: Any,
    requests: Sequence[tuple[str, str]],
    *,
    max_length: Count | None = None,
    token_budget: TokenBudget = "auto",
) -> list[tuple[float, bool]]:
    r"""Log-likelihood of continuations given contexts, by any Hugging Face causal LM in memory.

    .. math:: \ell_r = \sum_{k=0}^{K_r-1} \log p(y_{rk} \mid x_{\le s_r + k})

    Encoded as the field's harness does: see :func:`semprune.data.batches.encoding.encode_request`; contexts that are
    too long lose their beginning, but not its special tokens. What requests share is computed once, see
    :class:`semprune.evaluation.engine.request_scorer.Engine`.

    Source: equations.md; EleutherAI's lm-evaluation-harness.

    Args:
        model: A backbone, or any causal LM with a head, in any mode; it is left as it was.
        tokenizer: Its tokenizer; None takes a backbone's own.
        requests: (context, continuation) pairs; the continuation with its leading space.
        max_length: Tokens that the model can read; None asks
            :func:`semprune.data.subject.context_length`.
        token_budget: Most tokens of one forward; ``auto`` is halved whenever memory runs out.

    Returns:
        For each request, in their order: the summed log-probability in nats, and whether greedy decoding would
        give exactly this continuation.

    Raises:
        ConfigurationError: If a bare model comes without a tokenizer, a continuation has no tokens of its own, a
            context is empty and the tokenizer has neither BOS nor EOS, or it ends texts with a special token.
        PromptTooLongError: If a continuation alone exceeds ``max_length``.
        NonFiniteError: If a log-probability is NaN or infinite.
        OutOfMemoryError: If memory runs out and the batches cannot be smaller.
    """
    subject = subject_of(model, tokenizer)
    tokenizer, limit = subject.tokenizer, max_length or subject.max_length
    check_tokenizer(tokenizer)
    encoded = [
        encode_request(tokenizer, context, continuation, limit, truncate="left", item=str(index))
        for index, (context, continuation) in enumerate(requests)
    ]
    return score_encoded(Engine(subject.model, padding_token(tokenizer), token_budget), encoded)


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
