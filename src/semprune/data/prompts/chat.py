"""Items as a chat: the context is the user's turn, the continuation the beginning of the assistant's."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from semprune.errors import ConfigurationError
from semprune.types import Item

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


def check_chat_template(tokenizer: PreTrainedTokenizerBase | None) -> PreTrainedTokenizerBase:
    """Return a tokenizer that has a chat template.

    Raises:
        ConfigurationError: If there is no tokenizer, or it has no chat template.
    """
    if tokenizer is None:
        raise ConfigurationError("chat needs the model's tokenizer, whose template it uses. Pass `tokenizer`.")
    if tokenizer.chat_template is None:
        raise ConfigurationError(
            f"chat was asked for, but tokenizer {type(tokenizer).__name__} ({tokenizer.name_or_path or 'unnamed'}) has "
            "no chat template: it is not a chat model's. Set `chat: false`, or set `tokenizer.chat_template`."
        )
    return tokenizer


def as_chat(tokenizer: PreTrainedTokenizerBase, item: Item) -> Item:
    """Render an item's contexts as a user's turn, with the tokenizer's own template.

    The continuation loses the space that joined it to the context: it begins the assistant's turn, as in the field's
    harness. Description and few-shot examples are part of the user's turn (the harness puts a description, which only
    mmlu has, into a system turn).

    Args:
        tokenizer: A tokenizer that :func:`check_chat_template` let pass.
        item: The item, few-shot examples included.

    Returns:
        The item, its prompt's name with ``+chat``.
    """
    requests = ((_user_turn(tokenizer, context), continuation) for context, continuation in item.requests)
    joined = tuple((turn, continuation.removeprefix(" ")) for turn, continuation in requests)
    return dataclasses.replace(item, requests=joined, prompt=f"{item.prompt}+chat")


def _user_turn(tokenizer: PreTrainedTokenizerBase, context: str) -> str:
    turn: str = tokenizer.apply_chat_template(
        [{"role": "user", "content": context}], tokenize=False, add_generation_prompt=True
    )
    return turn  # with the special tokens that the template writes; encoding adds none that are there
