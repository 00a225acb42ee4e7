"""The bootstrap over items that may share a document; pure functions of arrays, seeded.

The bootstrap works on multiplicities: a resample is how often each document, and with it each of its items,
was drawn. A metric that takes weights is then one matrix product over all resamples.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
from jaxtyping import Float

from semprune.statistics.intervals import Interval

Statistic = Callable[[Float[np.ndarray, "resamples items"]], Float[np.ndarray, " resamples"]]

BLOCK = 2**20  # multiplicities at once: 8 MB


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
    step = max(1, BLOCK // max(count, len(document)))
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
