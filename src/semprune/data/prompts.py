"""From an example to the requests that a language model is asked."""

from __future__ import annotations

import re
import string
from collections.abc import Mapping
from typing import Any

from semprune.data.examples import Example
from semprune.data.registry import DatasetSpec, Prompt
from semprune.errors import DatasetSchemaError, UnknownPromptError
from semprune.types import Item


def find_prompt(spec: DatasetSpec, name: str | None) -> Prompt:
    """Return a data set's prompt; the first where no name is given.

    Raises:
        UnknownPromptError: If the data set has none of that name.
    """
    by_name = {prompt.name: prompt for prompt in spec.prompts}
    if name is None:
        return spec.prompts[0]
    if name not in by_name:
        raise UnknownPromptError(name, by_name)
    return by_name[name]


def render(spec: DatasetSpec, example: Example, prompt: Prompt) -> Item:
    """Fill a prompt's templates with an example's columns.

    Columns are values, never templates: braces in a text stay as they are.

    Args:
        spec: The data set.
        example: The example.
        prompt: One of the data set's prompts.

    Returns:
        The item, with one (context, continuation) request per choice.

    Raises:
        DatasetSchemaError: If a template asks for a field that the row lacks, or the label has no choice.
    """
    columns = dict(example.columns)
    for column, words in spec.max_words.items():
        columns[column] = first_words(columns[column], words)
    try:
        context = prompt.context.format_map(columns)
        continuations = _continuations(prompt, columns)
    except (KeyError, IndexError, AttributeError, TypeError) as error:
        raise DatasetSchemaError(
            spec.name, f"item {example.example_id}: prompt '{prompt.name}' cannot be filled ({error!r})", "Correct it."
        ) from error
    if example.label >= len(continuations):
        raise DatasetSchemaError(
            spec.name, f"item {example.example_id} has {len(continuations)} choices, no choice {example.label}",
            "Correct `labels` or the prompt's choices.",
        )  # fmt: skip
    return Item(
        dataset=spec.name,
        item_id=example.example_id,
        document_id=example.document_id,
        requests=tuple((context, continuation) for continuation in continuations),
        label=example.label,
        prompt=prompt.name,
    )


def first_words(text: str, words: int) -> str:
    """The text up to the end of its ``words``-th word, blanks between as they are.

    Example:
        >>> first_words("One  two three", 2)
        'One  two'
    """
    ends = [match.end() for match in re.finditer(r"\S+", text)]
    return text if len(ends) <= words else text[: ends[words - 1]]


def _continuations(prompt: Prompt, columns: Mapping[str, Any]) -> list[str]:
    if prompt.choices_from is not None:
        return [f" {choice}" for choice in string.Formatter().get_field(prompt.choices_from, (), columns)[0]]
    return [choice.format_map(columns) for choice in prompt.choices]
