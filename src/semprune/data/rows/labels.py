"""Which choice of a row is right, by the data set's rule."""

from __future__ import annotations

import math
import string
from collections.abc import Mapping, Sequence
from typing import Any

from semprune.data.registry import LabelRule
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
