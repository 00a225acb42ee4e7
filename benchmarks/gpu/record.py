"""What the parts of a run measured: rows in a file that is whole after each of them, and a table."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.gpu.timing import Spread

from semprune.io.files import write_json


@dataclass(frozen=True, slots=True)
class Row:
    """One figure.

    Attributes:
        what: What was measured.
        seconds: How long it took.
        over: How many times its floor that is.
        floor: The floor's name.
        peak_share: Share of the measured peak of matrix products.
        memory_gib: Largest memory.
        note: What else is to be said.
    """

    what: str
    seconds: Spread | None = None
    over: Spread | None = None
    floor: str = ""
    peak_share: float | None = None
    memory_gib: float | None = None
    note: str = ""


@dataclass(slots=True)
class Record:
    """Rows and kernels of one part, written anew at each addition: a part that is stopped leaves what it has."""

    path: Path
    rows: list[Row] = field(default_factory=list)
    kernels: dict[str, list[dict[str, Any]]] = field(default_factory=dict)

    def add(self, row: Row) -> None:
        """Take down a figure."""
        self.rows.append(row)
        self._write()

    def add_kernels(self, what: str, kernels: list[dict[str, Any]]) -> None:
        """Take down a profile."""
        self.kernels[what] = kernels
        self._write()

    def _write(self) -> None:
        write_json(self.path, {"rows": [asdict(row) for row in self.rows], "kernels": self.kernels})


def read_part(path: Path) -> dict[str, Any]:
    """Return what a part left; nothing where it left no file."""
    if not path.is_file():
        return {"rows": [], "kernels": {}}
    return dict(json.loads(path.read_text()))


def figure(spread: dict[str, float] | None, digits: int) -> str:
    """Median with quartiles.

    Example:
        >>> figure({"median": 1.234, "low": 1.2, "high": 1.3, "repeats": 5}, 2), figure(None, 2)
        ('1.23 (1.20 to 1.30)', '')
    """
    if spread is None:
        return ""
    middle = f"{spread['median']:.{digits}f}"
    return middle if spread["repeats"] < 2 else f"{middle} ({spread['low']:.{digits}f} to {spread['high']:.{digits}f})"


def summary(title: str, parts: Sequence[dict[str, Any]]) -> str:
    """Return a run as Markdown: how each part ended, its figures, its top kernels.

    Args:
        title: Which card, which versions.
        parts: Each with ``part``, ``ended``, ``rows`` and ``kernels``.
    """
    lines = [f"# {title}", "", "| part | ended | figures |", "|---|---|--:|"]
    lines += [f"| {part['part']} | {part['ended']} | {len(part['rows'])} |" for part in parts]
    lines += ["", "Medians with quartiles where a figure was repeated.", ""]
    lines += ["| part | what | s | over its floor | floor | of the peak | GiB | |", "|---|---|--:|--:|---|--:|--:|---|"]
    for part in parts:
        lines += [f"| {part['part']} | {row_cells(row)} |" for row in part["rows"]]
    for part in parts:
        for what, kernels in part["kernels"].items():
            lines += ["", f"Top kernels of {part['part']}, {what}:", "", "| kernel | calls | ms |", "|---|--:|--:|"]
            lines += [f"| `{own['name']}` | {own['calls']:,} | {own['ms']:.2f} |" for own in kernels]
    return "\n".join(lines) + "\n"


def row_cells(row: dict[str, Any]) -> str:
    """Return the cells of a figure's row."""
    share = "" if row["peak_share"] is None else f"{row['peak_share']:.0%}"
    memory = "" if row["memory_gib"] is None else f"{row['memory_gib']:.1f}"
    cells = (row["what"], figure(row["seconds"], 4), figure(row["over"], 2), row["floor"], share, memory, row["note"])
    return " | ".join(cells)
