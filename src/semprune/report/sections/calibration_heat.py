"""Heatmaps of calibration set × data set: the drop under each method and amount, with what lies behind a square."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import numpy as np
import pandas as pd

from semprune.analysis import Drops
from semprune.analysis.calibration import calibrations
from semprune.report.charts.heatmap import Square, colour_step, colour_steps
from semprune.report.run.labels import MethodLabels, amount_label, family_label
from semprune.report.run.load_run import RunArtefacts
from semprune.report.run.metrics import METRICS, Metric
from semprune.report.run.study_tables import StudyTables
from semprune.report.sections.drill_down import Behind, Filter, chosen


@dataclass(frozen=True, slots=True)
class DropView:
    """One view: a method (or all), an amount and a metric.

    Attributes:
        key: Unique name inside the page.
        label: Name of the view.
        families: Family and its number of columns, left to right.
        columns: Data sets, left to right.
        rows: Calibration set and its squares.
        limit: Drop of the strongest colour, as shown.
    """

    key: str
    label: str
    families: list[tuple[str, int]]
    columns: list[str]
    rows: list[tuple[str, list[Square]]]
    limit: float


@dataclass(frozen=True, slots=True)
class HeatChoice:
    """All views, and the values and names of the selects that choose one: method, amount, metric."""

    views: list[DropView]
    selects: list[tuple[str, list[tuple[str, str]]]]
    legend: list[str]


def drop_heatmaps(run: RunArtefacts, study: StudyTables) -> HeatChoice:
    """One view per method × amount × metric; colours are comparable between the methods of one amount and metric."""
    first = next(iter(study.drops.values())).cells
    methods, amounts = _methods(first, run.methods), _amounts(first)
    behind = Behind(run, study)
    views = []
    limits = {
        (amount, name): _limit(drops, pruned, list(methods.values()))
        for amount, pruned in amounts.items()
        for name, drops in study.drops.items()
    }
    for (row, (method, only)), (column, (amount, pruned)) in _product(methods, amounts):
        for name, drops in study.drops.items():
            key, label = f"drops-{row}-{column}-{name}", f"{method}, {amount}, {METRICS[name].label}"
            views.append(_view(key, label, METRICS[name], drops, only | pruned, limits[amount, name], behind))
    selects = [
        ("Method", [(f"drops-{place}", name) for place, name in enumerate(methods)]),
        ("Amount", [(str(place), name) for place, name in enumerate(amounts)]),
        ("Metric", [(name, METRICS[name].label) for name in study.drops]),
    ]
    return HeatChoice(views, selects, colour_steps(diverging=True))


def _product(methods: dict[str, Filter], amounts: dict[str, Filter]) -> Iterator[tuple[Any, Any]]:
    return ((row, column) for row in enumerate(methods.items()) for column in enumerate(amounts.items()))


def _methods(cells: pd.DataFrame, labels: MethodLabels) -> dict[str, Filter]:
    each = {labels.label(name): {"method": name} for name in sorted(set(cells["method"]), key=labels.rank)}
    return {"Mean of methods": {}, **each} if len(each) > 1 else each


def _amounts(cells: pd.DataFrame) -> dict[str, Filter]:
    pairs = cells[["pattern", "sparsity"]].drop_duplicates().sort_values(["sparsity", "pattern"])
    return {
        amount_label(pattern, sparsity): {"pattern": pattern, "sparsity": sparsity}
        for pattern, sparsity in zip(pairs["pattern"], pairs["sparsity"], strict=True)
    }


def _limit(drops: Drops, pruned: Filter, methods: list[Filter]) -> float:
    """Largest drop (or gain) of any square of one amount."""
    own = drops.cells.assign(place=range(len(drops.cells)))
    largest = [0.0]
    for method in methods:
        for _, rows in own[chosen(own, pruned | method)].groupby("calibration"):
            largest += [abs(float(one.drops[rows["place"]].mean())) for one in drops.datasets]
    return float(np.nanmax(largest))


def _view(key: str, label: str, metric: Metric, drops: Drops, wanted: Filter, limit: float, behind: Behind) -> DropView:
    datasets = drops.datasets  # by family
    families = [(family_label(name), len(list(group))) for name, group in groupby(one.family for one in datasets)]
    rows = []
    for name in calibrations(drops):
        own = chosen(drops.cells, wanted | {"calibration": name})
        if not own.any():
            continue
        cells = []
        for one in datasets:
            estimate = one.estimate(own / own.sum())
            parts = [f"95 % interval {metric.interval(*estimate.interval)}, n = {one.drops.shape[1]}"]
            parts += behind.flips(one.name, wanted | {"calibration": name}) + behind.lost(wanted, name)
            step = colour_step(estimate.value, limit, diverging=True)
            cells.append(Square(step, metric.number(estimate.value), "; ".join(parts)))
        rows.append((name, cells))
    return DropView(key, label, families, [one.name for one in datasets], rows, limit * metric.scale)
