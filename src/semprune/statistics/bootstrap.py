"""Intervals and tests over items that may share a document; pure functions of arrays, seeded.

The bootstrap works on multiplicities: a resample is how often each document, and with it each of its items,
was drawn. A metric that takes weights is then one matrix product over all resamples.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float

Statistic = Callable[[Float[np.ndarray, "resamples items"]], Float[np.ndarray, " resamples"]]

_BLOCK = 2**20  # multiplicities at once: 8 MB


class Interval(NamedTuple):
    """A two-sided interval."""

    low: float
    high: float


def document_resamples(
    documents: Sequence[str], resamples: int, seed: int
) -> Iterator[Float[np.ndarray, "block items"]]:
    """Draw documents with replacement; yield each item's multiplicity, in blocks of resamples.

    The same documents and seed give the same draws, whatever the model: differences are paired by that.

    Args:
        documents: Document of each item.
        resamples: Number of resamples in all blocks together.
        seed: Seed of the draws.

    Yields:
        Non-negative whole numbers as float64; items of one document have the same.

    Example:
        >>> [draw] = document_resamples(["a", "a", "b"], resamples=2, seed=0)
        >>> bool((draw[:, 0] == draw[:, 1]).all()), (draw[:, 0] + draw[:, 2]).tolist()
        (True, [2.0, 2.0])
    """
    names, document = np.unique(np.asarray(documents, dtype=str), return_inverse=True)
    count = len(names)
    random = np.random.default_rng(seed)
    step = max(1, _BLOCK // max(count, len(document)))
    for first in range(0, resamples, step):
        block = min(step, resamples - first)
        drawn = random.integers(0, count, size=(block, count)) + np.arange(block)[:, None] * count
        multiplicity = np.bincount(drawn.ravel(), minlength=block * count).reshape(block, count)
        yield multiplicity[:, document].astype(np.float64)


def bootstrap(
    statistic: Statistic, documents: Sequence[str], *, resamples: int = 1000, seed: int = 0
) -> Float[np.ndarray, " resamples"]:
    """Values of a weighted statistic over resampled documents.

    Args:
        statistic: Maps multiplicities ``[resamples, items]`` to values ``[resamples]``.
        documents: Document of each item, the unit that is drawn.
        resamples: Number of resamples.
        seed: Seed of the draws.

    Returns:
        One value per resample; NaN where the statistic is not defined.
    """
    return np.concatenate([statistic(block) for block in document_resamples(documents, resamples, seed)])


def percentile_interval(values: Float[np.ndarray, " resamples"], level: float = 0.95) -> Interval:
    """Percentile interval of bootstrap values; NaN where more than half of the resamples are undefined.

    Args:
        values: Bootstrap values.
        level: Coverage aimed at.

    Returns:
        The (1 ± level)/2 quantiles of the defined values.

    Example:
        >>> percentile_interval(np.arange(101.0), level=0.5)
        Interval(low=25.0, high=75.0)
    """
    defined = values[~np.isnan(values)]
    if 2 * len(defined) < len(values) or not len(defined):
        return Interval(float("nan"), float("nan"))
    low, high = np.quantile(defined, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(low), float(high))


def bootstrap_p(differences: Float[np.ndarray, " resamples"]) -> float:
    r"""Two-sided p of "no difference", by inverting the percentile interval of paired differences.

    .. math:: p = \min\left(1,\; 2\,\frac{1 + \min(\#\{d \le 0\}, \#\{d \ge 0\})}{1 + R}\right)

    It never says 0: with R resamples the least p is 2/(R+1).

    Args:
        differences: Bootstrap values of pruned minus dense on the same resamples; NaN are left out.

    Returns:
        p in (0, 1], NaN where no resample is defined.

    Example:
        >>> bootstrap_p(np.array([-0.3] * 99)), bootstrap_p(np.zeros(99))
        (0.02, 1.0)
    """
    defined = differences[~np.isnan(differences)]
    if not len(defined):
        return float("nan")
    least = min(int((defined <= 0).sum()), int((defined >= 0).sum()))
    return min(1.0, 2 * (1 + least) / (1 + len(defined)))


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
