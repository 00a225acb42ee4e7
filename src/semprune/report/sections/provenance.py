"""What the provenance section shows: everything that made the run, as labelled rows."""

from __future__ import annotations

import re
from typing import Any

from semprune.report.run.formats import MISSING, duration, memory, number, percent
from semprune.report.run.load_run import RunArtefacts
from semprune.report.sections.section import Section

_SHA256 = re.compile("[0-9a-f]{64}")  # shortened on the page; provenance.json has all digits
_TITLES = {
    "backbone": "Model",
    "backbones": "Models",
    "versions": "Versions",
    "settings": "Settings",
    "data": "Data sets",
    "left_out": "Items left out (a choice without a token of its own)",
    "calibration": "Calibration (hash of the tokens)",
    "special_tokens": "Special tokens that texts begin with",
    "licences": "Licences",
}


def provenance_groups(run: RunArtefacts) -> list[tuple[str, list[tuple[str, str]]]]:
    """Groups of (name, value) in reading order; entries unknown here are shown under the run.

    Args:
        run: The run's artefacts; without provenance only the measured sparsity remains.

    Returns:
        Pairs of title and rows.
    """
    content = {key: value for key, value in (run.provenance or {}).items() if key != "methods"}  # names, no cause
    groups = []
    run_rows = [
        (name, _value(key, content.pop(key)))
        for key, name in (
            ("command", "Command"),
            ("semprune", "semprune"),
            ("started", "Started"),
            ("finished", "Finished"),
            ("wall_seconds", "Wall-clock time"),
            ("peak_memory_bytes", "Peak memory"),
        )
        if key in content
    ]
    nested = [(title, _rows(content.pop(key))) for key, title in _TITLES.items() if content.get(key)]
    run_rows += _rows(content)
    groups = [("Run", run_rows), *nested, ("Measured sparsity", _sparsity(run))]
    return [(title, rows) for title, rows in groups if rows]


def _value(key: str, value: Any) -> str:
    if isinstance(value, int | float) and not isinstance(value, bool):
        if key == "wall_seconds":
            return duration(value)
        if key == "peak_memory_bytes":
            return memory(value)
    return _text(value)


def _rows(value: Any, prefix: str = "") -> list[tuple[str, str]]:
    """Flatten mappings to dotted names, down to the last mapping of plain values, which becomes text."""
    if isinstance(value, list) and any(isinstance(entry, dict) for entry in value):
        return [(f"{prefix}{place}", _text(entry)) for place, entry in enumerate(value, 1)]
    if not isinstance(value, dict):
        return [(prefix, _text(value))]
    rows = []
    for key, entry in value.items():
        name = f"{prefix}.{key}" if prefix else str(key)
        is_deep = isinstance(entry, dict) and any(isinstance(inner, dict | list) for inner in entry.values())
        rows += _rows(entry, name) if is_deep else [(name, _text(entry))]
    return rows


def _text(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {_text(entry)}" for key, entry in value.items())
    if isinstance(value, list):
        return ", ".join(_text(entry) for entry in value)
    if isinstance(value, str) and _SHA256.fullmatch(value):
        return f"{value[:16]}…"
    return MISSING if value is None else str(value)


def _sparsity(run: RunArtefacts) -> list[tuple[str, str]]:
    """Measured sparsity per setting: the range over its matrices."""
    if run.sparsity is None:
        return []
    rows = []
    for setting in run.settings:
        measured = run.sparsity.loc[run.sparsity["setting"] == setting.label, "measured"]
        if not measured.empty:
            low, high = percent(float(measured.min()), 2), percent(float(measured.max()), 2)
            spread = low if low == high else f"{low} to {high}"
            rows.append((setting.label, f"{spread} of the weights in each of {number(len(measured), 0)} matrices"))
    return rows


SECTION = Section("provenance", "Provenance", lambda _, shown: {"provenance": provenance_groups(shown)})
