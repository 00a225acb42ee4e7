"""Log-likelihood of whole texts, and their perplexity per word and byte."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch

from semprune.data.batches.encoding import EncodedRequest, padding_token
from semprune.data.batches.special_tokens import encode, opening_length, special_tokens, start_tokens
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


def rolling_windows(
    tokens: Sequence[int], start: Sequence[int], max_length: int, *, repeated: Sequence[int] = ()
) -> list[EncodedRequest]:
    """Cut a text into requests that predict each of its tokens once.

    The first window begins with ``start``; a later one begins with ``repeated`` and the token before it, and the last
    one, which may be short, looks back as far as the model can read.

    Source: EleutherAI's lm-evaluation-harness (rolling windows with one token of context), where nothing is repeated.

    Args:
        tokens: Tokens of the text, without special tokens.
        start: Special tokens that the first token is predicted from; at least one.
        max_length: Tokens that the model can read.
        repeated: Special tokens that the model reads before every text, however it is cut.

    Raises:
        SettingError: If the special tokens leave no room for a token.

    Example:
        >>> [(w.input_ids, w.targets) for w in rolling_windows([1, 2, 3, 4], [0], max_length=3)]
        [((0, 1, 2), (1, 2, 3)), ((1, 2, 3), (4,))]
        >>> [(w.input_ids, w.targets) for w in rolling_windows([1, 2, 3, 4], [0], max_length=3, repeated=[0])]
        [((0, 1, 2), (1, 2, 3)), ((0, 2, 3), (4,))]
    """
    least = max(len(start), len(repeated) + 1)
    if max_length < least:
        raise SettingError("max_length", max_length, f"at least {least} for this tokenizer's special tokens")
    text, windows = tuple(tokens), []
    end = max_length + 1 - len(start)  # a window's last token is predicted and not read
    if text:
        windows.append(_window((*start, *text[:end]), len(text[:end])))
    room = max_length - len(repeated)
    for first in range(end, len(text), room):
        last = min(first + room, len(text))
        windows.append(_window((*repeated, *text[max(0, last - room - 1) : last]), last - first))
    return windows


def _window(tokens: tuple[int, ...], scored: int) -> EncodedRequest:
    """A request whose last tokens are scored."""
    return EncodedRequest(tokens[:-1], tokens[-scored:], len(tokens) - 1 - scored)


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

    A text is read as its tokenizer begins it. These special tokens are not part of it, and every window of a long text
    begins with them; an EOS that the tokenizer adds is not scored. Where it adds nothing before a text, the first token
    is predicted from BOS, else EOS, and windows are those of the field's harness.

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
        SettingError: If ``max_length`` leaves no room beside the special tokens.
        NonFiniteError: If a log-probability is NaN or infinite.
        OutOfMemoryError: If memory runs out and the batches cannot be smaller.
    """
    limit = max_length or context_length(model, tokenizer)
    own = text_windows(tokenizer, texts, limit, start_tokens(tokenizer))
    return score_windows(Engine(model, padding_token(tokenizer), token_budget), own)


def text_windows(
    tokenizer: Any, texts: Sequence[str], max_length: int, start: Sequence[int]
) -> list[list[EncodedRequest]]:
    """Encode whole texts as :func:`rolling_windows`.

    Args:
        tokenizer: What it begins a text with is repeated in every window, and never part of the text.
        texts: Whole texts.
        max_length: Tokens that the model can read.
        start: Special tokens that the first token of a text is predicted from.
    """
    encoded = [encode(tokenizer, text, special=False) for text in texts]
    bare = [tokens[opening_length(tokenizer, tokens) :] for tokens in encoded]
    repeated = special_tokens(tokenizer).prefix
    return [rolling_windows(tokens, start, max_length, repeated=repeated) for tokens in bare]


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
