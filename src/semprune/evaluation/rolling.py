"""Log-likelihood of whole texts, and their perplexity per word and byte."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch

from semprune.data.batches.encoding import EncodedRequest, encode, padding_token, prefix_token
from semprune.data.subject import context_length
from semprune.errors import SettingError
from semprune.evaluation.engine.causal_lm import CausalLM
from semprune.evaluation.engine.loglikelihood import score_encoded
from semprune.evaluation.engine.request_scorer import Engine
from semprune.evaluation.metrics.text_perplexity import TextPerplexity
from semprune.ranges import checked
from semprune.types import Count, TokenBudget


class TextScores(NamedTuple):
    """What :func:`text_perplexity` found.

    Attributes:
        word_perplexity: Perplexity per word (pieces between blanks).
        byte_perplexity: Perplexity per UTF-8 byte.
        bits_per_byte: Its base-2 logarithm.
        loglikelihoods: Of each text, in nats.
    """

    word_perplexity: float
    byte_perplexity: float
    bits_per_byte: float
    loglikelihoods: tuple[float, ...]


def rolling_windows(tokens: Sequence[int], prefix: int, max_length: int) -> list[EncodedRequest]:
    """Cut a text into requests that predict each of its tokens once.

    The first window begins with ``prefix``; a later one begins with the token before it, and the last one, which may
    be short, looks back as far as the model can read.

    Source: EleutherAI's lm-evaluation-harness (rolling windows with one token of context).

    Args:
        tokens: Tokens of the text.
        prefix: Token that the first one is predicted from.
        max_length: Tokens that the model can read.

    Example:
        >>> [(w.input_ids, w.targets) for w in rolling_windows([1, 2, 3, 4], 0, max_length=3)]
        [((0, 1, 2), (1, 2, 3)), ((1, 2, 3), (4,))]
    """
    padded = (prefix, *tokens)
    windows = []
    for first in range(0, len(tokens), max_length):
        end = min(first + max_length, len(tokens))
        begin = max(0, end - max_length)
        windows.append(EncodedRequest(padded[begin:end], padded[first + 1 : end + 1], first - begin))
    return windows


@checked
def rolling_loglikelihood(
    model: CausalLM,
    tokenizer: Any,
    texts: Sequence[str],
    *,
    max_length: Count | None = None,
    token_budget: TokenBudget = "auto",
) -> list[float]:
    """Log-likelihood of whole texts, each token predicted once.

    Args:
        model: Any causal LM with a head; it is left as it was.
        tokenizer: Its tokenizer.
        texts: Whole texts; an empty one has log-likelihood 0.
        max_length: Tokens that the model can read; None asks
            :func:`semprune.data.subject.context_length`.
        token_budget: Most tokens of one forward.

    Returns:
        Sums in nats.

    Raises:
        ConfigurationError: If the tokenizer has neither BOS nor EOS.
        NonFiniteError: If a log-probability is NaN or infinite.
        OutOfMemoryError: If memory runs out and the batches cannot be smaller.
    """
    limit = max_length or context_length(model, tokenizer)
    prefix = prefix_token(tokenizer)
    own = [rolling_windows(encode(tokenizer, text), prefix, limit) if text else [] for text in texts]
    return score_windows(Engine(model, padding_token(tokenizer), token_budget), own)


def score_windows(engine: Engine, texts: Sequence[Sequence[EncodedRequest]]) -> list[float]:
    """Sum the log-likelihoods of each text's windows.

    Args:
        engine: Scores them.
        texts: Windows of each text.

    Returns:
        One sum per text, in nats.
    """
    found = iter(score_encoded(engine, [window for windows in texts for window in windows]))
    return [sum(next(found)[0] for _ in windows) for windows in texts]


@checked
def text_perplexity(
    model: CausalLM,
    tokenizer: Any,
    texts: Sequence[str],
    *,
    max_length: Count | None = None,
    token_budget: TokenBudget = "auto",
) -> TextScores:
    """Perplexity of whole texts per word and byte, comparable between tokenizers.

    Source: equations.md; ``word_perplexity``, ``byte_perplexity`` and ``bits_per_byte`` of lm-evaluation-harness.

    Args:
        model: See :func:`rolling_loglikelihood`.
        tokenizer: See there.
        texts: At least one text that is not empty.
        max_length: See there.
        token_budget: See there.

    Raises:
        SettingError: If there is no text, or an empty one.
        ConfigurationError: If the tokenizer has neither BOS nor EOS.
        NonFiniteError: If a log-probability is NaN or infinite.
    """
    if not texts or not all(texts):
        raise SettingError("texts", f"{len(texts)}, {sum(not text for text in texts)} of them empty", "texts")
    sums = rolling_loglikelihood(model, tokenizer, texts, max_length=max_length, token_budget=token_budget)
    word, byte = TextPerplexity("word"), TextPerplexity("byte")
    for metric in (word, byte):
        metric.update(texts, -torch.tensor(sums, dtype=torch.float64))
    per_byte = byte.compute()
    return TextScores(float(word.compute()), float(per_byte), float(per_byte.log2()), tuple(sums))
