"""From an example to the requests that a language model is asked, and the answered examples before it."""

from __future__ import annotations

import re
import string
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from semprune.data.registry import DatasetSpec, Prompt
from semprune.data.rows.examples import Example
from semprune.data.rows.splits import select
from semprune.errors import DatasetSchemaError, SettingError, UnknownPromptError
from semprune.types import Item

ALL_PROMPTS = "all"
"""Names every prompt of a data set; no prompt may be called so."""

SHOT_SEPARATOR = "\n\n"
"""Between few-shot examples, as in the field's harness."""


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


def find_prompts(spec: DatasetSpec, name: str | None) -> tuple[Prompt, ...]:
    """Return the prompts that a setting names: ``all``, one by its name, or the first for None.

    Raises:
        UnknownPromptError: If the data set has none of that name.
    """
    return spec.prompts if name == ALL_PROMPTS else (find_prompt(spec, name),)


def render(spec: DatasetSpec, example: Example, prompt: Prompt, shots: Sequence[Example] = ()) -> Item:
    """Fill a prompt's templates with an example's columns.

    Columns are values, never templates: braces in a text stay as they are. Answered examples come first, each
    followed by a blank line, as in the field's harness.

    Args:
        spec: The data set.
        example: The example.
        prompt: One of the data set's prompts.
        shots: Examples to show with their answers; none of them is the example itself.

    Returns:
        The item, with one (context, continuation) request per choice. Its prompt's name says how many shots.

    Raises:
        DatasetSchemaError: If a template asks for a field that the row lacks, or the label has no choice.
    """
    before = _filled(spec, example, prompt, lambda columns: prompt.description.format_map(columns))
    for shot in shots:
        context, continuation = fill(spec, shot, prompt)[shot.label]
        before += f"{context}{continuation}{SHOT_SEPARATOR}"
    return Item(
        dataset=spec.name,
        item_id=example.example_id,
        document_id=example.document_id,
        requests=tuple((before + context, continuation) for context, continuation in fill(spec, example, prompt)),
        label=example.label,
        prompt=f"{prompt.name}+{len(shots)}shots" if shots else prompt.name,
        grade=example.grade,
    )


def fill(spec: DatasetSpec, example: Example, prompt: Prompt) -> list[tuple[str, str]]:
    """The (context, continuation) of every choice, without description and few-shot examples.

    Raises:
        DatasetSchemaError: If a template asks for a field that the row lacks, or the label has no choice.
    """
    requests: list[tuple[str, str]] = _filled(spec, example, prompt, lambda columns: _requests(prompt, columns))
    if example.label >= len(requests):
        raise DatasetSchemaError(
            spec.name,
            f"item {example.example_id} has {len(requests)} choices, no choice {example.label}",
            "Correct `labels` or the prompt's choices.",
        )
    return requests


def first_words(text: str, words: int) -> str:
    """The text up to the end of its ``words``-th word, blanks between as they are.

    Example:
        >>> first_words("One  two three", 2)
        'One  two'
    """
    ends = [match.end() for match in re.finditer(r"\S+", text)]
    return text if len(ends) <= words else text[: ends[words - 1]]


def _filled(spec: DatasetSpec, example: Example, prompt: Prompt, use: Callable[[Mapping[str, Any]], Any]) -> Any:
    """What templates give on the example's columns, its long texts cut."""
    columns = dict(example.columns)
    for column, words in spec.max_words.items():
        columns[column] = first_words(columns[column], words)
    try:
        return use(columns)
    except (KeyError, IndexError, AttributeError, TypeError) as error:
        raise DatasetSchemaError(
            spec.name, f"item {example.example_id}: prompt '{prompt.name}' cannot be filled ({error!r})", "Correct it."
        ) from error


def _requests(prompt: Prompt, columns: Mapping[str, Any]) -> list[tuple[str, str]]:
    if prompt.choices_from is not None:
        listed = string.Formatter().get_field(prompt.choices_from, (), columns)[0]
        continuations = [f" {choice}" for choice in listed]
    else:
        continuations = [choice.format_map(columns) for choice in prompt.choices]
    contexts = [context.format_map(columns) for context in prompt.contexts]
    contexts = contexts or [(prompt.context or "").format_map(columns)] * len(continuations)
    return list(zip(contexts, continuations, strict=True))


class ShotPicker:
    """Chooses the examples to show: by a hash of seed and identifier, so that a larger number only adds."""

    def __init__(self, spec: DatasetSpec, shown: Iterable[Example], shots: int, seed: int) -> None:
        """Order the examples.

        Args:
            spec: The data set; ``shots_within`` names a column that examples share with the item.
            shown: Examples that may be shown, none of a document that is evaluated.
            shots: How many to show.
            seed: Which.
        """
        self.spec = spec
        self.shots = shots
        groups: dict[str | None, list[Example]] = {}
        for example in shown:
            groups.setdefault(self._group(example), []).append(example)
        self._chosen = {
            group: select(examples, shots, lambda e: f"shots/{seed}/{spec.name}/{e.example_id}")
            for group, examples in groups.items()
        }

    def __call__(self, example: Example) -> Sequence[Example]:
        """Return the examples to show before this one.

        Raises:
            SettingError: If there are fewer than ``shots``.
        """
        chosen = self._chosen.get(self._group(example), [])
        if len(chosen) < self.shots:
            raise SettingError("shots", self.shots, f"at most {len(chosen)}, what '{self.spec.name}' has to show")
        return chosen

    def _group(self, example: Example) -> str | None:
        return None if self.spec.shots_within is None else str(example.columns[self.spec.shots_within])
