"""Exact test of paired answers, and the correction for several tests at once."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float


def mcnemar(
    dense: Bool[np.ndarray, " items"], pruned: Bool[np.ndarray, " items"], documents: Sequence[str] | None = None
) -> float:
    """Exact McNemar test of two classifiers on the same items, with documents as the independent units.

    Under the null, each document's net number of flips (right to wrong minus wrong to right) is as likely to
    have the other sign; the exact distribution of their sum is a convolution. With one item per document this
    is the textbook exact McNemar (sign) test; the generalisation to documents is ours.

    Args:
        dense: Whether the dense model is right.
        pruned: Whether the pruned model is right.
        documents: Document of each item; None means that items are independent.

    Returns:
        Two-sided p in (0, 1]; 1 where nothing flipped.

    Example:
        >>> mcnemar(np.array([1, 1, 1, 1, 1, 0], bool), np.array([0, 0, 0, 0, 0, 0], bool))
        0.0625
    """
    flips = dense.astype(np.int64) - pruned.astype(np.int64)
    if documents is not None:
        _, document = np.unique(np.asarray(documents, dtype=str), return_inverse=True)
        flips = np.bincount(document, weights=flips).astype(np.int64)
    sizes = np.abs(flips[flips != 0])
    total = int(sizes.sum())
    chance = np.zeros(2 * total + 1)  # chance[total + s] of the sum s
    chance[total] = 1.0
    for size in sizes:
        chance = 0.5 * (np.roll(chance, size) + np.roll(chance, -size))  # the ends stay empty until the last size
    sums = np.abs(np.arange(-total, total + 1))
    return float(min(1.0, chance[sums >= abs(int(flips.sum()))].sum()))


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
