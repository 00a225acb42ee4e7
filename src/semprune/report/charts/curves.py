"""Curves of one quantity against another, each with its marks, one of them with a band of its interval."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from semprune.report.charts.dots import Axis
from semprune.report.run.formats import number

HEIGHT = 320  # pixels


@dataclass(frozen=True, slots=True)
class Curve:
    """One curve, and its entry in the legend.

    Attributes:
        unbroken: Its name.
        shape: Index of its marker.
        hue: Index of its colour.
        points: Marks, in per cent of the width and pixels of the height.
        band: Corners of its interval, in the same units, as SVG has them; empty where none is drawn.
    """

    unbroken: str
    shape: int
    hue: int
    points: list[tuple[float, float]]
    band: str = ""

    @property
    def line(self) -> str:
        """The way through the points, as SVG has it."""
        return _corners(self.points)


@dataclass(frozen=True, slots=True)
class Curves:
    """A chart of curves.

    Attributes:
        key: Unique name inside the page.
        caption: What it shows.
        across: The horizontal axis, in shown units.
        across_label: What it measures.
        up_label: What the vertical axis measures.
        ticks: Grid lines of the vertical axis: pixels, label, is-zero.
        curves: From back to front.
        height: Pixels.
    """

    key: str
    caption: str
    across: Axis
    across_label: str
    up_label: str
    ticks: list[tuple[float, str, bool]]
    curves: list[Curve]
    height: int = HEIGHT


def pixel(axis: Axis, value: float) -> float:
    """Height at which a value stands, from the top.

    Example:
        >>> pixel(Axis(0.0, 10.0, ()), 5.0)
        160.0
    """
    return round(HEIGHT * (1 - axis.percent(value) / 100), 1)


def ticks_up(axis: Axis) -> list[tuple[float, str, bool]]:
    """Grid lines of a vertical axis."""
    return [(pixel(axis, tick), number(tick, 0), tick == 0) for tick in axis.ticks]


def placed(across: Axis, up: Axis, points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Points on the chart, in per cent and pixels; those that are no numbers are left out."""
    return [(across.percent(x), pixel(up, y)) for x, y in points if np.isfinite([x, y]).all()]


def band(across: Axis, up: Axis, ends: Sequence[tuple[float, float, float]]) -> str:
    """Corners of an interval along a curve.

    Args:
        across: The horizontal axis.
        up: The vertical axis.
        ends: Place across, and both ends of the interval there.

    Example:
        >>> axis = Axis(0.0, 1.0, ())
        >>> band(axis, axis, [(0.0, 0.0, 1.0), (1.0, 0.0, 1.0)])
        '2.5,312.0 97.5,312.0 97.5,8.0 2.5,8.0'
    """
    low = placed(across, up, [(x, end) for x, end, _ in ends])
    high = placed(across, up, [(x, end) for x, _, end in ends])
    return _corners([*low, *reversed(high)])


def _corners(points: Sequence[tuple[float, float]]) -> str:
    return " ".join(f"{x:g},{y:.1f}" for x, y in points)
