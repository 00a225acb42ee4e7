"""Dot-and-interval charts: rows of marks on one axis, with the numbers beside them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from semprune.report.run.formats import number, small
from semprune.report.run.labels import Setting

MOST_LOG_TICKS = 5  # more labels than these touch each other on a narrow screen
MARGIN = 2.5  # per cent of the plot's width left free at both ends, so that no mark is cut


@dataclass(frozen=True, slots=True)
class Axis:
    """A horizontal axis whose positions are percentages of the plot's width.

    Attributes:
        low: Value at the left margin.
        high: Value at the right margin.
        ticks: Values with a grid line and a label.
        log: True for a logarithmic axis.
    """

    low: float
    high: float
    ticks: tuple[float, ...]
    log: bool = False

    def percent(self, value: float) -> float:
        """Position of a value; values outside the axis lie on its margin.

        Example:
            >>> axis = Axis(0.0, 10.0, (0.0, 10.0))
            >>> axis.percent(0.0), axis.percent(5.0), axis.percent(99.0)
            (2.5, 50.0, 97.5)
        """
        low, high, value = (math.log(end) if self.log else end for end in (self.low, self.high, value))
        share = min(max((value - low) / (high - low), 0.0), 1.0)
        return round(MARGIN + share * (100 - 2 * MARGIN), 2)

    @property
    def marks(self) -> list[tuple[float, str, bool]]:
        """Position, label and is-zero of each tick.

        Example:
            >>> [label for _, label, _ in Axis(0.004, 0.2, (0.005, 0.01, 0.1), log=True).marks]
            ['0.005', '0.01', '0.1']
        """
        if self.log and min(self.ticks, default=1) < 0.1:
            return [(self.percent(tick), small(tick), False) for tick in self.ticks]
        digits = 0 if all(float(tick).is_integer() for tick in self.ticks) else 1
        return [(self.percent(tick), number(tick, digits), tick == 0) for tick in self.ticks]


@dataclass(frozen=True, slots=True)
class Mark:
    """A dot with its interval; positions in per cent, ``low`` and ``high`` None without an interval."""

    x: float
    low: float | None
    high: float | None
    shape: int
    hue: int


def mark(axis: Axis, value: float, low: float, high: float, *, shape: int, hue: int) -> Mark | None:
    """Place a value and its interval on an axis; None for a value that is not finite.

    An interval that goes on beyond the axis runs to the edge of the plot, which no end inside reaches.
    """
    if not math.isfinite(value):
        return None
    place = axis.percent(value)
    if math.isnan(low) or math.isnan(high):
        return Mark(place, None, None, shape, hue)
    left, right = 0.0 if low < axis.low else axis.percent(low), 100.0 if high > axis.high else axis.percent(high)
    return Mark(place, left, right, shape, hue)


def linear_axis(values: Iterable[float], *, origin: float = 0.0, ticks: int = 6) -> Axis:
    """An axis from the smallest to the largest of an origin and all finite values, with ticks at round numbers.

    Example:
        >>> axis = linear_axis([-3.0, 22.0])
        >>> axis.low, axis.high, axis.ticks
        (-3.0, 22.0, (0.0, 5.0, 10.0, 15.0, 20.0))
    """
    finite = [origin, *(float(value) for value in values if math.isfinite(value))]
    low, high = min(finite), max(finite)
    if low == high:
        high = low + 1.0
    step = _round_up((high - low) / ticks)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return Axis(low, high, tuple(index * step for index in range(first, last + 1)))


WIDEST = 3.0
"""Intervals of more than so many times the median width may go on beyond the axis (ours)."""


def interval_axis(points: Iterable[tuple[float, float, float]]) -> Axis:
    """A linear axis over values and their intervals that a few imprecise rows do not squeeze.

    All values are on it, and the ends of all intervals but those that are very much wider than the others.

    Args:
        points: Value, low and high of each mark.

    Example:
        >>> axis = interval_axis([(1.0, 0.0, 2.0), (2.0, 1.0, 3.0), (4.0, 3.0, 5.0), (2.0, -90.0, 94.0)])
        >>> axis.low, axis.high
        (0.0, 5.0)
    """
    known = [point for point in points if all(map(math.isfinite, point))]
    widths = sorted(high - low for _, low, high in known)
    most = WIDEST * widths[len(widths) // 2] if widths else 0.0
    ends = (end for _, low, high in known if high - low <= most for end in (low, high))
    return linear_axis([*(value for value, _, _ in known), *ends])


def _round_up(step: float) -> float:
    power = 10.0 ** math.floor(math.log10(step))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= step * (1 - 1e-9))


def log_axis(values: Iterable[float]) -> Axis:
    """A logarithmic axis over all finite positive values, ticks at 1, 2 and 5 times powers of ten if there is room.

    Example:
        >>> log_axis([40.0, 900.0]).ticks
        (50.0, 100.0, 200.0, 500.0)
    """
    finite = [float(value) for value in values if math.isfinite(value) and value > 0] or [1.0]
    low, high = min(finite) / 1.1, max(finite) * 1.1
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    grid = [factor * 10.0**power for power in powers for factor in (1, 2, 5)]
    inside = [tick for tick in grid if low <= tick <= high]
    for leading in ("15", "1"):
        if len(inside) > MOST_LOG_TICKS:
            inside = [tick for tick in inside if f"{tick:e}"[0] in leading]
    return Axis(low, high, tuple(inside), log=True)


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
