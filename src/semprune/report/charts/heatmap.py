"""The squares of a heatmap, and the colour steps of their values."""

from __future__ import annotations

import math
from dataclasses import dataclass

STEPS = 10  # colour steps of a heatmap above its blank; the style sheet has a colour for each


@dataclass(frozen=True, slots=True)
class Square:
    """One square: its colour class, its value, and what else the tooltip says."""

    step: str
    text: str
    more: str


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


def colour_steps(*, diverging: bool) -> list[str]:
    """All classes of :func:`colour_step` but ``none``, from the lowest value to the highest.

    Example:
        >>> colour_steps(diverging=True)[::5]
        ['n5', 'z', 'p5']
    """
    if not diverging:
        return [f"q{step}" for step in range(STEPS + 1)]
    half = range(1, STEPS // 2 + 1)
    return [*(f"n{step}" for step in reversed(half)), "z", *(f"p{step}" for step in half)]
