"""From text to token ids, as the field's evaluation harness does it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from semprune.data.batches.special_tokens import encode, opening_length, start_tokens
from semprune.errors import NoOwnTokenError, PromptTooLongError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

Truncate = Literal["error", "left"]


@dataclass(frozen=True, slots=True)
class EncodedRequest:
    """A (context, continuation) pair as token ids.

    Attributes:
        input_ids: What the model reads: context and continuation without the last token.
        targets: Tokens of the continuation.
        start: Position in ``input_ids`` whose logits predict the first target.
    """

    input_ids: tuple[int, ...]
    targets: tuple[int, ...]
    start: int


def encode_request(
    tokenizer: PreTrainedTokenizerBase,
    context: str,
    continuation: str,
    max_length: int,
    *,
    truncate: Truncate = "error",
    dataset: str | None = None,
    item: str = "",
) -> EncodedRequest:
    """Encode a context and its continuation for scoring.

    Both are encoded together with the tokenizer's default special tokens, the context is encoded alone, and
    the continuation's tokens are what is left after the context's length. Trailing blanks of the context
    move to the continuation. An empty context becomes what the tokenizer begins texts with, else BOS, else EOS.

    Source: equations.md; EleutherAI's lm-evaluation-harness, which cuts BOS off with the beginning of a long prompt.

    Args:
        tokenizer: The model's tokenizer.
        context: What is given.
        continuation: What is scored, with its leading space.
        max_length: Tokens that the model can read.
        truncate: ``left`` cuts the beginning of the text, behind its special tokens; ``error`` refuses longer ones.
        dataset: Name for messages; None where the request is of no data set.
        item: Identifier for messages.

    Returns:
        The request; ``len(input_ids) == start + len(targets)``.

    Raises:
        PromptTooLongError: If the tokens do not fit and may not be cut, or the continuation alone is too long.
        NoOwnTokenError: If the continuation has no tokens of its own.
    """
    given, scored = _encode_pair(tokenizer, context, continuation)
    tokens = given + scored
    if not scored:
        raise NoOwnTokenError(dataset, item, continuation)
    if len(tokens) - 1 > max_length:  # the last token is never read, so one more than the context length fits
        opening = opening_length(tokenizer, tokens)
        if len(scored) > max_length + 1 - max(opening, 1):
            raise PromptTooLongError(dataset, item, len(scored), max_length, part="continuation")
        if truncate == "error":
            raise PromptTooLongError(dataset, item, len(tokens) - 1, max_length)
        tokens = tokens[:opening] + tokens[len(tokens) - (max_length + 1 - opening) :]
    return EncodedRequest(tuple(tokens[:-1]), tuple(scored), len(tokens) - 1 - len(scored))


def _encode_pair(tokenizer: PreTrainedTokenizerBase, context: str, continuation: str) -> tuple[list[int], list[int]]:
    """Tokens of the context, and tokens of the continuation after it."""
    bare = context.rstrip()
    continuation = context[len(bare) :] + continuation
    if not bare:
        return list(start_tokens(tokenizer)), encode(tokenizer, continuation, special=False)
    whole = encode(tokenizer, bare + continuation)
    given = len(encode(tokenizer, bare))
    return whole[:given], whole[given:]


def padding_token(tokenizer: PreTrainedTokenizerBase) -> int:
    """An id to fill rows with; it is always masked, so EOS or 0 serve where there is no padding token."""
    for token in (tokenizer.pad_token_id, tokenizer.eos_token_id):
        if token is not None:
            return int(token)
    return 0
