"""Correction for several tests at once."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float


def holm(p: Sequence[float] | Float[np.ndarray, " tests"]) -> Float[np.ndarray, " tests"]:
    r"""Holm's step-down correction; controls the family-wise error.

    .. math:: \tilde p_{(i)} = \max_{j \le i} \min\{(m - j + 1)\, p_{(j)}, 1\}

    Source: Holm, Scandinavian Journal of Statistics 6 (1979).

    Args:
        p: Uncorrected p values of one family of tests; NaN (no test) are left out and stay NaN.

    Returns:
        Corrected p values in the same order.

    Example:
        >>> holm([0.01, 0.04, 0.03]).tolist()
        [0.03, 0.06, 0.06]
    """
    raw = np.asarray(p, dtype=np.float64)
    corrected = np.full(len(raw), np.nan)
    order = np.argsort(raw, kind="stable")[: int((~np.isnan(raw)).sum())]  # argsort puts NaN last
    factors = len(order) - np.arange(len(order))
    corrected[order] = np.minimum(1.0, np.maximum.accumulate(raw[order] * factors))
    return corrected
