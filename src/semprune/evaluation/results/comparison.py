"""One statistic of one model, and its paired difference from the dense model."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from semprune.statistics.bootstrap import Statistic, bootstrap, bootstrap_p, percentile_interval

Row = dict[str, object]


def compare(
    statistic: Statistic, dense: Statistic | None, documents: Sequence[str], *, seed: int = 0, resamples: int = 1000
) -> Row:
    """Value, interval and paired difference of a weighted statistic.

    Args:
        statistic: Maps multiplicities ``[resamples, items]`` to values.
        dense: The same for the dense model on the same items; None where ``statistic`` is the dense model's.
        documents: Document of each item.
        seed: Seed of the bootstrap.
        resamples: Number of resamples.

    Returns:
        ``value``, ``low``, ``high``, ``n``, ``dense``, ``difference``, ``difference_low``, ``difference_high``, ``p``.

    Example:
        >>> row = compare(lambda w: w @ np.ones(2) / 2, lambda w: w @ np.zeros(2), ["a", "b"], resamples=99)
        >>> row["value"], row["difference"], row["difference_low"], row["p"]
        (1.0, 1.0, 1.0, 0.02)
    """
    once = np.ones((1, len(documents)))
    value = float(statistic(once)[0])
    draws = bootstrap(statistic, documents, resamples=resamples, seed=seed)
    row: Row = {"value": value, "n": len(documents), "dense": value, "difference": 0.0, "p": float("nan")}
    differences = np.zeros(1)
    if dense is not None:
        row["dense"] = float(dense(once)[0])
        row["difference"] = value - float(dense(once)[0])
        differences = draws - bootstrap(dense, documents, resamples=resamples, seed=seed)
        row["p"] = bootstrap_p(differences)
    row["low"], row["high"] = percentile_interval(draws)
    row["difference_low"], row["difference_high"] = percentile_interval(differences)
    return row
