"""What must hold inside a YAML beyond types: rules that name the key to correct."""

from __future__ import annotations

import re
from collections.abc import Iterator

from jinja2 import TemplateError

from semprune.data.registry.derive import expression_columns
from semprune.data.registry.schema import CalibrationSpec, DatasetSpec, DropRule, LabelRule, OfflineSource, Prompt
from semprune.data.registry.templates import field_rules, root, template_columns, template_rules
from semprune.errors import DatasetSchemaError


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
    ways = (spec.hub is not None or spec.offline is not None, bool(spec.documents), bool(spec.prompts), spec.made)
    if not any(ways):
        raise DatasetSchemaError(
            name, "it has no source", "Declare `hub`, `offline`, or both; or `documents`, `prompts` or `made`."
        )
    if sum(map(bool, ways)) > 1:
        raise DatasetSchemaError(
            name, "it has more than one source", "Keep one kind: a text, `documents`, `prompts` or `made`. A mixture "
            "of sets is written where it is used, as in c4*0.5+wiki*0.5"
        )  # fmt: skip
    for pattern in spec.strip:
        for detail, remedy in _pattern_rules("strip", pattern):
            raise DatasetSchemaError(name, detail, remedy)


def _broken_rules(name: str, spec: DatasetSpec) -> Iterator[tuple[str, str]]:
    """Details and remedies of what is wrong."""
    if spec.name != name:
        yield f"its name is '{spec.name}'", "Give the file and the data set the same name."
    if spec.hub is None and spec.offline is None:
        yield "it has no source", "Declare `hub`, `offline`, or both."
    if not spec.prompts or not spec.metrics or not spec.text:
        yield "`prompts`, `metrics` and `text` must each hold at least one entry", "Add one."
    for prompt in spec.prompts:
        yield from _template_rules(prompt)
    if spec.labels.keys is not None:
        yield from field_rules("labels.keys", spec.labels.keys)
    yield from _column_rules(spec)
    yield from _label_rules(spec.labels)
    if spec.offline is not None:
        yield from _offline_rules(spec.offline)
    for rule in spec.drop:
        yield from _drop_rules(rule)
    names = [prompt.name for prompt in spec.prompts]
    if len(set(names)) < len(names):
        yield f"two of the prompts {', '.join(names)} have one name", "Name each prompt differently."
    for prompt in spec.prompts:
        yield from _prompt_rules(prompt, spec.labels)


def _template_rules(prompt: Prompt) -> Iterator[tuple[str, str]]:
    where = f"prompt '{prompt.name}'"
    for key, templates in (
        ("description", (prompt.description,)), ("context", (prompt.context or "",)),
        ("contexts", prompt.contexts), ("choices", prompt.choices),
    ):  # fmt: skip
        for template in templates:
            yield from template_rules(f"{where}, {key}", template)
    if prompt.choices_from is not None:
        yield from field_rules(f"{where}, choices_from", prompt.choices_from)


def _column_rules(spec: DatasetSpec) -> Iterator[tuple[str, str]]:
    known = set(spec.columns)
    for column, expression in spec.derive.items():
        try:
            unknown = expression_columns(expression) - known
        except TemplateError as error:
            yield f"derive.{column} is no Jinja expression ({error})", "Correct its syntax."
            return
        if unknown:
            yield (
                f"derive.{column} reads {', '.join(sorted(unknown))}, which come later or never",
                "Reorder or declare.",
            )
        known.add(column)
    unknown = _columns_read(spec) - known
    if unknown:
        yield f"{', '.join(sorted(unknown))} used, but not in `columns`", "Declare each column that is used."


def _columns_read(spec: DatasetSpec) -> set[str]:
    read = {*spec.text, spec.labels.column, *spec.max_words, *(rule.column for rule in spec.drop)}
    read |= {root(field) for field in (spec.labels.keys, spec.id, spec.shots_within) if field}
    read |= {spec.document.column} if spec.document else set()
    for prompt in spec.prompts:
        templates = [prompt.description, prompt.context or "", *prompt.contexts, *prompt.choices]
        read |= set().union(*map(template_columns, templates))
        read |= {root(prompt.choices_from)} if prompt.choices_from else set()
    return read


def _label_rules(labels: LabelRule) -> Iterator[tuple[str, str]]:
    ways = [bool(labels.values), labels.keys is not None, labels.sign_minimum is not None, labels.threshold is not None]
    if sum(ways) != 1:
        yield "labels need exactly one of `values`, `keys`, `sign_minimum`, `threshold`", "Choose one."
    if len(set(labels.classes)) < len(labels.classes):
        yield "two `classes` have one name", "Name each class differently."
    if labels.values and labels.classes and len(labels.values) != len(labels.classes):
        yield f"{len(labels.values)} label values for {len(labels.classes)} classes", "List one value per class."
    if labels.sign_minimum is not None and (labels.sign_minimum <= 0 or len(labels.classes) != 2):
        yield "`sign_minimum` must be positive, with two classes", "Class 0 is the negative side."
    if labels.threshold is not None and len(labels.classes) != 2:
        yield "`threshold` needs two classes", "Class 0 is below the threshold."


def _offline_rules(source: OfflineSource) -> Iterator[tuple[str, str]]:
    if (source.pattern is not None) != (source.format == "lines"):
        yield "`offline.pattern` belongs to format lines, and lines need it", "Give both or neither."
    if source.pattern is not None:
        yield from _pattern_rules("offline.pattern", source.pattern)


def _drop_rules(rule: DropRule) -> Iterator[tuple[str, str]]:
    if sum((rule.contains is not None, rule.matches is not None, bool(rule.values))) != 1:
        yield f"drop rule on '{rule.column}' needs exactly one of `contains`, `matches`, `values`", "Choose one."
    if rule.matches is not None:
        yield from _pattern_rules("drop", rule.matches)


def _pattern_rules(key: str, pattern: str) -> Iterator[tuple[str, str]]:
    try:
        re.compile(pattern)
    except re.error as error:
        yield f"{key}: '{pattern}' is no regular expression", f"{error}."


def _prompt_rules(prompt: Prompt, labels: LabelRule) -> Iterator[tuple[str, str]]:
    if prompt.name == "all":
        yield "a prompt is called 'all', which names every prompt of a data set", "Give it another name."
    if bool(prompt.choices) == (prompt.choices_from is not None):
        yield f"prompt '{prompt.name}' needs exactly one of `choices`, `choices_from`", "Choose one."
    if bool(prompt.contexts) == (prompt.context is not None):
        yield f"prompt '{prompt.name}' needs exactly one of `context`, `contexts`", "Choose one."
    if prompt.contexts and len(prompt.contexts) != len(prompt.choices):
        yield f"prompt '{prompt.name}' needs a context per choice", "List as many `contexts` as `choices`."
    expected = len(labels.classes or labels.values)
    if prompt.choices and expected and len(prompt.choices) != expected:
        yield f"prompt '{prompt.name}' has {len(prompt.choices)} choices for {expected} labels", "They must agree."
