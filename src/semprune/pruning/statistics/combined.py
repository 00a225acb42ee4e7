"""Statistics of general text and of what is to be kept, together."""

from __future__ import annotations

from dataclasses import replace

import torch

from semprune.types import LayerStats


def combined(general: LayerStats, kept: LayerStats, strength: float) -> LayerStats:
    r"""Add the statistics of what is to be kept to those of general text, scaled to their total.

    .. math:: H = H_{gen} + \gamma\, \frac{\mathrm{tr} H_{gen}}{\mathrm{tr} H_s}\, H_s

    It is ``H_gen/tr(H_gen) + γ·H_s/tr(H_s)`` in the scale of general text: no method is moved by the scale of a
    matrix's statistics, but an allocation compares matrices. The sums of squares, H's diagonal, are added alike.

    Source: equations.md G2.

    Args:
        general: Of general text.
        kept: Of the same matrix, on the text of what is to be kept. Where nothing hangs on its tokens, and where no
            token came (an expert), the general statistics stay.
        strength: How much it counts, γ.

    Example:
        >>> general, kept = LayerStats(torch.tensor([1.0, 3.0]), 9.0, 2), LayerStats(torch.tensor([0.0, 0.5]), 3.0, 1)
        >>> combined(general, kept, strength=2.0)
        LayerStats(sum_squares=tensor([ 1., 11.]), tokens=9.0, sequences=2, mean_squares=None, second_moments=None)
    """
    total = kept.sum_squares.sum(dtype=torch.float64)
    if total == 0:
        return general
    share = strength * float(general.sum_squares.sum(dtype=torch.float64) / total)
    found = replace(general, sum_squares=general.sum_squares.add(kept.sum_squares, alpha=share))
    if general.second_moments is None or kept.second_moments is None:
        return found
    traces = [each.diagonal().sum(dtype=torch.float64) for each in (general.second_moments, kept.second_moments)]
    share = strength * float(traces[0] / traces[1])
    return replace(found, second_moments=general.second_moments.add(kept.second_moments, alpha=share))
