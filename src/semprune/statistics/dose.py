"""A loss at equal cost: curves of loss against cost, read where the cost reaches a dose."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float


def at_dose(
    cost: Float[np.ndarray, "*curves points"],
    gained: Float[np.ndarray, "*curves points"],
    dose: float,
    *,
    extended: bool = False,
) -> Float[np.ndarray, "*curves"]:
    r"""Value of a curve where its cost first reaches a dose, on straight lines between its points.

    .. math:: g_{i-1} + \frac{d - c_{i-1}}{c_i - c_{i-1}} (g_i - g_{i-1}), \qquad i = \min\{i : c_i \ge d\}

    The curve begins at cost 0 and value 0, before its first point. Nothing is extrapolated, but where ``extended``
    says so: resamples of a curve that reaches a dose do not all reach it, and the others count too.

    Args:
        cost: Cost of each point, in the order in which the curve goes.
        gained: Value of each point.
        dose: Above 0.
        extended: Whether the line through the last two points goes on beyond them.

    Returns:
        The values; NaN where the cost never reaches the dose, nor rises at the end of an extended curve.

    Example:
        >>> round(float(at_dose(np.array([0.02, 0.01, 0.06]), np.array([0.1, 0.1, 0.3]), 0.04)), 6)
        0.22
        >>> at_dose(np.array([0.02, 0.01]), np.array([0.1, 0.1]), 0.04).tolist()
        nan
        >>> round(float(at_dose(np.array([0.01, 0.02]), np.array([0.1, 0.3]), 0.03, extended=True)), 6)
        0.5
    """
    origin = np.zeros((*cost.shape[:-1], 1))
    costs, values = np.concatenate([origin, cost], -1), np.concatenate([origin, gained], -1)
    reached = costs >= dose
    last = np.where(reached.any(-1), reached.argmax(-1), costs.shape[-1] - 1)
    after = np.maximum(last, 1)[..., None]
    ends = [np.take_along_axis(array, after - back, -1)[..., 0] for array in (costs, values) for back in (1, 0)]
    before_cost, after_cost, before, value = ends
    with np.errstate(divide="ignore", invalid="ignore"):
        there = before + (dose - before_cost) / (after_cost - before_cost) * (value - before)
    known = reached.any(-1) | (extended & (after_cost > before_cost))
    found: np.ndarray = np.where(known, there, np.nan)
    return found
