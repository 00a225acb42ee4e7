"""What must hold inside a YAML beyond types: rules that name the key to correct."""

from __future__ import annotations

import re
import string
from collections.abc import Iterator

from semprune.data.registry.calibration_schema import CalibrationSpec
from semprune.data.registry.schema import DatasetSpec, LabelRule, Prompt
from semprune.errors import DatasetSchemaError


def template_columns(template: str) -> set[str]:
    """Columns that a template reads.

    Example:
        >>> sorted(template_columns("{question} {choices[text][0]}"))
        ['choices', 'question']
    """
    return {_root(name) for _, name, _, _ in string.Formatter().parse(template) if name is not None}


def check_dataset(name: str, spec: DatasetSpec) -> None:
    """Check a data set's declaration.

    Raises:
        DatasetSchemaError: With the first rule that it breaks.
    """
    for detail, remedy in _broken_rules(name, spec):
        raise DatasetSchemaError(name, detail, remedy)


def check_calibration(name: str, spec: CalibrationSpec) -> None:
    """Check a calibration set's declaration; as :func:`check_dataset`."""
    if spec.name != name:
        raise DatasetSchemaError(name, f"its name is '{spec.name}'", "Give the file and the set the same name.")
    if spec.hub is None and spec.offline is None:
        raise DatasetSchemaError(name, "it has no source", "Declare `hub`, `offline`, or both.")
    for pattern in spec.strip:
        try:
            re.compile(pattern)
        except re.error as error:
            raise DatasetSchemaError(name, f"strip: '{pattern}' is no regular expression", f"{error}.") from error


def _broken_rules(name: str, spec: DatasetSpec) -> Iterator[tuple[str, str]]:
    """Details and remedies of what is wrong."""
    if spec.name != name:
        yield f"its name is '{spec.name}'", "Give the file and the data set the same name."
    if spec.hub is None and spec.offline is None:
        yield "it has no source", "Declare `hub`, `offline`, or both."
    if not spec.prompts or not spec.metrics or not spec.text:
        yield "`prompts`, `metrics` and `text` must each hold at least one entry", "Add one."
    if not 0.0 <= spec.reserve < 1.0:
        yield f"reserve must be in [0, 1), got {spec.reserve:g}", "It is a share of the documents."
    unknown = _columns_read(spec) - set(spec.columns)
    if unknown:
        yield f"{', '.join(sorted(unknown))} used, but not in `columns`", "Declare each column that is used."
    yield from _label_rules(spec.labels)
    for prompt in spec.prompts:
        yield from _prompt_rules(prompt, spec.labels)


def _columns_read(spec: DatasetSpec) -> set[str]:
    read = {*spec.text, spec.labels.column, *spec.max_words, *(rule.column for rule in spec.drop)}
    read |= {_root(field) for field in (spec.labels.keys, spec.id) if field}
    read |= {spec.document.column} if spec.document else set()
    for prompt in spec.prompts:
        read |= template_columns(prompt.context).union(*map(template_columns, prompt.choices))
        read |= {_root(prompt.choices_from)} if prompt.choices_from else set()
    return read


def _label_rules(labels: LabelRule) -> Iterator[tuple[str, str]]:
    ways = [bool(labels.values), labels.keys is not None, labels.sign_minimum is not None]
    if sum(ways) != 1:
        yield "labels need exactly one of `values`, `keys`, `sign_minimum`", "Choose one."
    if labels.values and labels.classes and len(labels.values) != len(labels.classes):
        yield f"{len(labels.values)} label values for {len(labels.classes)} classes", "List one value per class."
    if labels.sign_minimum is not None and (labels.sign_minimum <= 0 or len(labels.classes) != 2):
        yield "`sign_minimum` must be positive, with two classes", "Class 0 is the negative side."


def _prompt_rules(prompt: Prompt, labels: LabelRule) -> Iterator[tuple[str, str]]:
    if bool(prompt.choices) == (prompt.choices_from is not None):
        yield f"prompt '{prompt.name}' needs exactly one of `choices`, `choices_from`", "Choose one."
    expected = len(labels.classes or labels.values)
    if prompt.choices and expected and len(prompt.choices) != expected:
        yield f"prompt '{prompt.name}' has {len(prompt.choices)} choices for {expected} labels", "They must agree."


def _root(field: str) -> str:
    """Column at the start of a field path: ``choices[text]`` -> ``choices``."""
    return re.split(r"[.\[]", field, maxsplit=1)[0]
