"""From raw rows to examples: labels, documents, and the declared rules for leaving rows out."""

from __future__ import annotations

import math
import re
import string
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from semprune.data.registry import DatasetSpec, DocumentRule, DropRule, LabelRule
from semprune.data.registry.derive import derive_columns
from semprune.errors import DatasetSchemaError


def right_choice(dataset: str, labels: LabelRule, row: Mapping[str, Any]) -> int | None:
    """Index of the right choice, or None for a rating too close to 0.

    Args:
        dataset: Name of the data set, for messages.
        labels: The rule.
        row: The row.

    Raises:
        DatasetSchemaError: If the value is none that the rule knows.

    Example:
        >>> rule = LabelRule("rating", classes=("negative", "positive"), sign_minimum=1.0)
        >>> [right_choice("toy", rule, {"rating": rating}) for rating in ("-2.5", "0.4", "1")]
        [0, None, 1]
    """
    value = row[labels.column]
    if labels.sign_minimum is not None:
        rating = number(dataset, labels.column, value)
        return None if abs(rating) < labels.sign_minimum else int(rating > 0)
    if labels.threshold is not None:
        return int(number(dataset, labels.column, value) >= labels.threshold)
    choices: Sequence[Any] = labels.values
    if labels.keys is not None:
        choices = string.Formatter().get_field(labels.keys, (), row)[0]
    for index, choice in enumerate(choices):
        if value in (choice if isinstance(choice, list) else [choice]):
            return index
    raise DatasetSchemaError(
        dataset, f"label {value!r} in column '{labels.column}' is none of {list(choices)}", "Correct `labels`."
    )


def number(dataset: str, column: str, value: Any) -> float:
    """A rating or grade as a finite number.

    Raises:
        DatasetSchemaError: If it is none.
    """
    try:
        found = float(value)
    except (TypeError, ValueError):
        found = math.nan
    if not math.isfinite(found):
        raise DatasetSchemaError(dataset, f"rating {value!r} in column '{column}' is no number", "Correct `labels`.")
    return found


@dataclass(frozen=True, slots=True)
class Example:
    """A row that is used.

    Attributes:
        example_id: Identifier, unique within the data set.
        document_id: Identifier of its document; rows of one document share it.
        columns: The row, declared and derived columns only.
        label: Index of the right choice.
        grade: The graded label itself, where the data set has one.
    """

    example_id: str
    document_id: str
    columns: Mapping[str, Any]
    label: int
    grade: float | None = None

    def text(self, spec: DatasetSpec) -> str:
        """The text columns, joined by line breaks."""
        return "\n".join(self.columns[column] for column in spec.text)

    def class_name(self, spec: DatasetSpec) -> str | None:
        """The class that it is of, None for a data set without classes."""
        return spec.labels.classes[self.label] if spec.labels.classes else None


def build_examples(spec: DatasetSpec, rows: Iterable[Mapping[str, Any]], *, prefix: str = "") -> list[Example]:
    """Apply the data set's rules to its rows: drop, label, identify, deduplicate.

    Args:
        spec: The data set.
        rows: Rows with the declared columns.
        prefix: Put before each identifier, to tell the hub's splits apart.

    Returns:
        The examples, in the order of the rows.

    Raises:
        DatasetSchemaError: If a text is no text, a label is not declared, or two rows have one identifier.
    """
    examples = []
    for place, row in enumerate(rows):
        example = _example(spec, place, row, prefix)
        if example is not None:
            examples.append(example)
    if len({example.example_id for example in examples}) < len(examples):
        raise DatasetSchemaError(spec.name, f"column '{spec.id}' is not unique", "Declare another `id`, or none.")
    return _first_of_each_text(spec, examples) if spec.deduplicate else examples


def normalise(text: str) -> str:
    """Lower-cased words and numbers, divided by single spaces: what makes two texts the same.

    Example:
        >>> normalise("It 's GREAT --  really!")
        'it s great really'
    """
    return " ".join(re.findall(r"[^\W_]+", text.lower()))


def _example(spec: DatasetSpec, place: int, row: Mapping[str, Any], prefix: str) -> Example | None:
    """The example of a row, or None where a rule drops it."""
    row = derive_columns(spec.name, row, spec.derive)
    if any(_drops(rule, row[rule.column]) for rule in spec.drop):
        return None
    _check_texts(spec, place, row)
    label = right_choice(spec.name, spec.labels, row)
    if label is None:
        return None
    example_id = prefix + str(place if spec.id is None else row[spec.id])
    document_id = example_id if spec.document is None else prefix + _document(spec.document, row)
    graded = spec.labels.threshold is not None
    grade = number(spec.name, spec.labels.column, row[spec.labels.column]) if graded else None
    return Example(example_id, document_id, row, label, grade)


def _document(rule: DocumentRule, row: Mapping[str, Any]) -> str:
    value = str(row[rule.column])
    return value if rule.before is None else value.split(rule.before, 1)[0]


def _drops(rule: DropRule, value: Any) -> bool:
    if rule.values:
        return value in rule.values
    if not isinstance(value, str):
        return False  # no text to look into; a text column without text is an error of its own
    return rule.contains in value if rule.contains is not None else re.search(rule.matches or "", value) is not None


def _check_texts(spec: DatasetSpec, place: int, row: Mapping[str, Any]) -> None:
    for column in spec.text:
        if not isinstance(row[column], str) or not row[column].strip():
            raise DatasetSchemaError(
                spec.name, f"row {place}: column '{column}' holds {row[column]!r}, no text", "Add a `drop` rule for it."
            )


def _first_of_each_text(spec: DatasetSpec, examples: Iterable[Example]) -> list[Example]:
    first: dict[str, Example] = {}
    for example in examples:
        first.setdefault(normalise(example.text(spec)), example)
    return list(first.values())
