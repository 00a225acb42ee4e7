"""From text to token ids, as the field's evaluation harness does it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from semprune.errors import ConfigurationError, NoOwnTokenError, PromptTooLongError

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
    move to the continuation. An empty context becomes the BOS token, or EOS where there is none.

    Source: equations.md; EleutherAI's lm-evaluation-harness.

    Args:
        tokenizer: The model's tokenizer.
        context: What is given.
        continuation: What is scored, with its leading space.
        max_length: Tokens that the model can read.
        truncate: ``left`` keeps the last ``max_length`` + 1 tokens; ``error`` refuses longer ones.
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
    if len(scored) > max_length:
        raise PromptTooLongError(dataset, item, len(scored), max_length, part="continuation")
    # The last token is never read, so one more than the context length fits.
    if truncate == "error" and len(tokens) - 1 > max_length:
        raise PromptTooLongError(dataset, item, len(tokens) - 1, max_length)
    tokens = tokens[-(max_length + 1) :]
    return EncodedRequest(tuple(tokens[:-1]), tuple(scored), len(tokens) - 1 - len(scored))


def _encode_pair(tokenizer: PreTrainedTokenizerBase, context: str, continuation: str) -> tuple[list[int], list[int]]:
    """Tokens of the context, and tokens of the continuation after it."""
    bare = context.rstrip()
    continuation = context[len(bare) :] + continuation
    if not bare:
        return [prefix_token(tokenizer)], encode(tokenizer, continuation, special=False)
    whole = encode(tokenizer, bare + continuation)
    given = len(encode(tokenizer, bare))
    return whole[:given], whole[given:]


def encode(tokenizer: PreTrainedTokenizerBase, text: str, *, special: bool = True) -> list[int]:
    """Token ids of a text.

    Args:
        tokenizer: The tokenizer.
        text: The text.
        special: Add the tokenizer's default special tokens.
    """
    # Not verbose: a text longer than the tokenizer's own limit is measured by the caller.
    ids: list[int] = tokenizer(text, add_special_tokens=special, verbose=False)["input_ids"]
    return ids


def padding_token(tokenizer: PreTrainedTokenizerBase) -> int:
    """An id to fill rows with; it is always masked, so EOS or 0 serve where there is no padding token."""
    for token in (tokenizer.pad_token_id, tokenizer.eos_token_id):
        if token is not None:
            return int(token)
    return 0


def check_tokenizer(tokenizer: PreTrainedTokenizerBase) -> None:
    """Refuse a tokenizer that ends texts with a special token: continuations could not be cut out by length.

    Raises:
        ConfigurationError: If it does.
    """
    plain, special = encode(tokenizer, "a", special=False), encode(tokenizer, "a")
    if special[len(special) - len(plain) :] != plain:
        raise ConfigurationError(
            f"tokenizer {type(tokenizer).__name__} adds special tokens after a text, so that the tokens of a "
            "continuation cannot be told from them. Set add_eos_token to false on the tokenizer."
        )


def prefix_token(tokenizer: PreTrainedTokenizerBase) -> int:
    """The token that a text without a context is predicted from: BOS, or EOS where there is none.

    Raises:
        ConfigurationError: If the tokenizer has neither.
    """
    for token in (tokenizer.bos_token_id, tokenizer.eos_token_id):
        if token is not None:
            return int(token)
    raise ConfigurationError("an empty context needs a BOS or EOS token, and the tokenizer has neither. Set bos_token.")
