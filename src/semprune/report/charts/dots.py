"""Dot-and-interval charts: rows of marks on one axis, with the numbers beside them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from semprune.report.charts.axes import Axis, Mark, mark
from semprune.report.run.labels import Setting

LANE = 13  # height in pixels of one setting's lane inside a row
MOST_COLUMNS = 3  # with more settings than this, the numbers are left to the table below the chart


@dataclass(frozen=True, slots=True)
class ChartRow:
    """One row: a name, a note, marks with their lane's height, and the numbers as text."""

    label: str
    note: str
    marks: list[tuple[float, Mark]]
    texts: list[str]


@dataclass(frozen=True, slots=True)
class Chart:
    """A dot-and-interval chart.

    Attributes:
        key: Unique name inside the page.
        caption: What it shows, in a sentence.
        row_header: What its rows are.
        axis: The horizontal axis, in shown units.
        axis_label: What the axis measures, with its direction.
        columns: Headers of the columns of numbers.
        rows: The rows, from top to bottom.
        legend: The settings its marks stand for; empty where the rows say it.
        height: Height of a row's plot in pixels.
        reference: Position in per cent of a line to compare with; None without one.
    """

    key: str
    caption: str
    row_header: str
    axis: Axis
    axis_label: str
    columns: list[str]
    rows: list[ChartRow]
    legend: Sequence[Setting]
    height: int
    reference: float | None = None


def lanes(
    axis: Axis, settings: Sequence[Setting], points: dict[str, tuple[float, float, float]]
) -> list[tuple[float, Mark]]:
    """Marks of one row, each setting in its own lane.

    Args:
        axis: The chart's axis.
        settings: All settings of the chart; a setting keeps its lane in every row.
        points: Value, low and high by setting label, in the axis's units; a setting may be missing.

    Returns:
        Pairs of vertical position in pixels and mark.
    """
    placed = []
    for lane, setting in enumerate(settings):
        if setting.label in points:
            dot = mark(axis, *points[setting.label], shape=setting.shape, hue=setting.hue)
            if dot is not None:
                placed.append((plot_height(1) / 2 + lane * LANE, dot))
    return placed


def plot_height(settings: int) -> int:
    """Height in pixels of a row with one lane per setting."""
    return 11 + LANE * settings
