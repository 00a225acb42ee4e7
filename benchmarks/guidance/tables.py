"""What was measured, as lines of text."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

import numpy as np
from benchmarks.guidance.settings import Cell

from semprune.statistics.auroc import auroc

Measured = Mapping[str, Any]


def skill(measured: Measured, name: str) -> float:
    """AUROC of the label's log-odds in one data set."""
    own = measured["sets"][name]
    return float(auroc(np.array(own["scores"]), np.array(own["labels"])))


def perplexity(measured: Measured) -> float:
    """Of the running text."""
    return math.exp(fmean(measured["nll"]))


def table(dense: Measured, cells: Sequence[tuple[Cell, Measured]]) -> str:
    """A line for each cell, draws averaged; losses are of AUROC, mean of the data sets."""
    names = list(dense["sets"])
    lines = ["| cell | draws | lost | " + " | ".join(names) + " | perplexity | against unguided | KL |"]
    lines.append("|" + " --- |" * (lines[0].count("|") - 1))
    lines.append(_line("dense", [dense], dense, [dense], names))
    by_name: dict[str, list[tuple[Cell, Measured]]] = {}
    for cell, measured in cells:
        by_name.setdefault(cell.name, []).append((cell, measured))
    unguided = {
        (cell.method, cell.amount, cell.draw): m for cell, m in cells if cell.carrier == "generic" and not cell.rows
    }
    for name, own in by_name.items():
        base = [unguided.get((cell.method, cell.amount, cell.draw)) for cell, _ in own]
        lines.append(_line(name, [m for _, m in own], dense, [b for b in base if b is not None], names))
    return "\n".join(lines)


def _line(name: str, own: list[Measured], dense: Measured, base: list[Measured], names: list[str]) -> str:
    each = {data: fmean(skill(m, data) for m in own) for data in names}
    lost = fmean(skill(dense, data) - each[data] for data in names)
    value = fmean(map(perplexity, own))
    price = f"{value / fmean(map(perplexity, base)) - 1:+.1%}" if len(base) == len(own) else ""
    cells = [name, str(len(own)), f"{lost:.3f}", *(f"{each[data]:.3f}" for data in names), f"{value:.1f}", price]
    return "| " + " | ".join([*cells, f"{fmean(fmean(m['kl']) for m in own):.3f}"]) + " |"
