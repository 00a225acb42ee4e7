"""Items as a chat: the context is the user's turn, the continuation the beginning of the assistant's answer."""

from __future__ import annotations

import dataclasses
import re
from datetime import date
from typing import TYPE_CHECKING, Final

from jinja2 import Environment, TemplateError, meta

from semprune.data.settings import ChatSettings, chat_settings
from semprune.errors import ConfigurationError, OpenThoughtError, UnknownTemplateOptionError
from semprune.errors.base import first_line
from semprune.types import Item

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_THOUGHT: Final = re.compile(r"<((?:\w+:)?(?:think|thinking|thought|reasoning))>|\[(THINK)\]|<\|start\|>assistant$")
"""What opens a thought behind a chat prompt; gpt-oss's opens a message whose channel the model has yet to name."""

_CLOCK: Final = re.compile(r"""strftime_now\s*\(\s*(["'])([^"']*)\1\s*\)""")

_OURS: Final = frozenset({
    "messages", "conversation", "tools", "documents", "chat_template", "add_generation_prompt",
    "continue_final_message", "tokenize", "sanitize_control_tokens", "padding", "truncation", "max_length",
    "return_tensors", "return_dict", "return_assistant_tokens_mask", "tokenizer_kwargs", "strftime_now",
    "raise_exception", *Environment().globals,
})  # fmt: skip
"""What the call itself says and what every template has; no option of a template."""


def check_chat_template(
    tokenizer: PreTrainedTokenizerBase | None, chat: bool | ChatSettings | None = True
) -> PreTrainedTokenizerBase:
    """Return a tokenizer whose chat template reads the options that are given, and begins with the answer.

    Raises:
        ConfigurationError: If there is no tokenizer, or it has no chat template.
        UnknownTemplateOptionError: If the template never reads an option.
        OpenThoughtError: If the template begins a thought, and the settings do not close it.
        SettingError: If a setting has a value that it cannot have.
    """
    if tokenizer is None:
        raise ConfigurationError("chat needs the model's tokenizer, whose template it uses. Pass `tokenizer`.")
    if tokenizer.chat_template is None:
        raise ConfigurationError(
            f"chat was asked for, but tokenizer {type(tokenizer).__name__} ({tokenizer.name_or_path or 'unnamed'}) has "
            "no chat template: it is not a chat model's. Set `chat: false`, or set `tokenizer.chat_template`."
        )
    try:
        tokenizer.get_chat_template()
    except ValueError as error:  # several templates, none of them the default
        raise ConfigurationError(f"{first_line(error)}. Set `tokenizer.chat_template` to one of them.") from error
    settings = chat_settings(chat) or ChatSettings()
    known = template_options(tokenizer) if settings.options else frozenset()
    for name in settings.options:
        if name not in known:
            raise UnknownTemplateOptionError(name, known)
    thought_end(tokenizer, settings)
    return tokenizer


def template_options(tokenizer: PreTrainedTokenizerBase) -> frozenset[str]:
    """Names that a tokenizer's chat template reads and that a caller may give."""
    # transformers' own tag, which marks the assistant's words and reads nothing
    text = re.sub(r"{%-?\s*(end)?generation\s*-?%}", "", tokenizer.get_chat_template())
    template = Environment(extensions=["jinja2.ext.loopcontrols"]).parse(text)
    special = {name for name in meta.find_undeclared_variables(template) if name.endswith("_token")}
    return frozenset(meta.find_undeclared_variables(template) - special - _OURS)


def as_chat(tokenizer: PreTrainedTokenizerBase, item: Item, chat: bool | ChatSettings | None = True) -> Item:
    """Render an item's contexts as a user's turn, with the tokenizer's own template.

    The continuation loses the space that joined it to the context: it begins the assistant's turn, as in the field's
    harness. Description and few-shot examples are part of the user's turn (the harness puts a description, which only
    mmlu has, into a system turn).

    Args:
        tokenizer: A tokenizer that :func:`check_chat_template` let pass.
        item: The item, few-shot examples included.
        chat: How the template is filled; True for the defaults.

    Returns:
        The item, its prompt's name with ``+chat``.

    Raises:
        OpenThoughtError: If the template begins a thought, and the settings do not close it.
        ConfigurationError: If the template refuses the turn.
    """
    settings = chat_settings(chat) or ChatSettings()
    end = thought_end(tokenizer, settings)
    requests = (
        (_user_turn(tokenizer, context, settings, end), continuation) for context, continuation in item.requests
    )
    joined = tuple((turn, continuation.removeprefix(" ")) for turn, continuation in requests)
    return dataclasses.replace(item, requests=joined, prompt=f"{item.prompt}+chat")


def thought_end(tokenizer: PreTrainedTokenizerBase, settings: ChatSettings) -> str:
    """What ends the thought that a template begins the answer with; empty where it begins none.

    Raises:
        OpenThoughtError: If it begins one, and the settings do not close it.
    """
    turn, asked = (_rendered(tokenizer, "x", settings, answer=answer) for answer in (True, False))
    begun = turn.removeprefix(asked) or turn  # some templates always add the beginning of the answer
    opened = list(_THOUGHT.finditer(begun))
    if not opened:
        return ""
    tag, bracket = opened[-1].groups()
    end = f"</{tag}>" if tag else f"[/{bracket}]" if bracket else "<|channel|>final<|message|>"
    if end in begun[opened[-1].end() :]:
        return ""
    if settings.thought == "error":
        raise OpenThoughtError(opened[-1].group())
    return f"\n\n{end}\n\n" if tag or bracket else end


def _user_turn(tokenizer: PreTrainedTokenizerBase, context: str, settings: ChatSettings, thought_ends: str) -> str:
    turn = _rendered(tokenizer, context, settings, answer=True)
    # with the special tokens that the template writes; encoding adds none that are there
    return f"{turn.rstrip()}{thought_ends}" if thought_ends else turn


def _dated(template: str, day: date) -> str:
    """A template with the day in place of the clock: transformers lets nobody hand in another clock."""
    pinned = _CLOCK.sub(lambda call: f"'{day.strftime(call[2])}'", template)
    if re.search(r"strftime_now\s*\(", pinned):
        raise ConfigurationError(
            "the chat template asks for the time in a format that is not written out where it asks, so that no day can "
            "be put in its place. Set another `tokenizer.chat_template`."
        )
    return pinned


def _rendered(tokenizer: PreTrainedTokenizerBase, context: str, settings: ChatSettings, *, answer: bool) -> str:
    try:
        turn: str = tokenizer.apply_chat_template(
            [{"role": "user", "content": context}],
            tokenize=False,
            add_generation_prompt=answer,
            chat_template=_dated(tokenizer.get_chat_template(), settings.day),
            **settings.options,
        )
    except TemplateError as error:
        raise ConfigurationError(f"the chat template cannot be filled: {error}. Change `chat.options`.") from error
    return turn
