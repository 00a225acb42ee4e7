"""Heatmaps: the colour steps of the page's, and a figure for TensorBoard."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

STEPS = 10  # colour steps of a heatmap above its blank; the style sheet has a colour for each


def colour_step(value: float, limit: float, *, diverging: bool) -> str:
    """CSS class of a heatmap cell.

    Args:
        value: The cell's value.
        limit: Value (or absolute value) that takes the strongest colour.
        diverging: Two hues around zero instead of one from zero up.

    Returns:
        ``q0`` … ``q10``; diverging ``n5`` … ``n1``, ``z``, ``p1`` … ``p5``; ``none`` for a missing value.

    Example:
        >>> colour_step(0.5, 1.0, diverging=False), colour_step(-1.0, 1.0, diverging=True)
        ('q5', 'n5')
    """
    if not math.isfinite(value):
        return "none"
    share = min(max(value / limit, -1.0), 1.0) if limit > 0 else 0.0
    if not diverging:
        return f"q{round(max(share, 0.0) * STEPS)}"
    step = round(share * (STEPS // 2))
    return "z" if step == 0 else f"{'p' if step > 0 else 'n'}{abs(step)}"


def heatmap_figure(matrix: ArrayLike, layers: Sequence[int], concepts: Sequence[str], title: str) -> Figure:
    """A layer × concept heatmap for TensorBoard's ``add_figure``.

    Args:
        matrix: Values ``[concepts, layers]``; with negative values the colours diverge around zero. NaN stays blank.
        layers: Index of each column's layer.
        concepts: Name of each row's concept.
        title: Title of the figure.

    Returns:
        A figure without pyplot's global state: nothing needs closing.
    """
    values = np.ma.masked_invalid(np.asarray(matrix, dtype=np.float64))
    limit = float(np.abs(values).max()) if values.count() else 1.0
    diverging = bool(values.count() and values.min() < 0)
    figure = Figure(figsize=(2.5 + 0.28 * len(layers), 1.4 + 0.24 * len(concepts)), layout="constrained")
    axes = figure.add_subplot()
    image = axes.imshow(
        values,
        aspect="auto",
        interpolation="nearest",
        cmap="PuOr_r" if diverging else "cividis",
        vmin=-limit if diverging else 0.0,
        vmax=limit or 1.0,
    )
    axes.set_xticks(range(len(layers)), [str(layer) for layer in layers], fontsize=7)
    axes.set_yticks(range(len(concepts)), list(concepts), fontsize=8)
    axes.set_xlabel("layer (input → output)")
    axes.set_title(title, fontsize=10)
    figure.colorbar(image, ax=axes, pad=0.01)
    return figure
