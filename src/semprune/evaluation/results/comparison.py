"""One metric of one model: its paired difference from the dense model, and its spread over wordings."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int

from semprune.statistics.bootstrap import Statistic, bootstrap, bootstrap_p, percentile_interval
from semprune.statistics.intervals import Interval, clustered_error, mean_test
from semprune.statistics.proportions import paired_difference_interval, share_interval, tango, wilson
from semprune.statistics.significance import mcnemar

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


def compare_shares(
    right: Bool[np.ndarray, " items"], dense: Bool[np.ndarray, " items"] | None, documents: Sequence[str]
) -> Row:
    """Share of right items, and its paired difference: Wilson's and Tango's intervals, McNemar's exact test.

    Where the exact test does not reject, the interval of the difference reaches 0: Tango's is of an asymptotic test
    that rejects a little earlier, and a figure must not say two things.

    Args:
        right: Which items are right; at least one item.
        dense: Which items the dense model has right; None where ``right`` is the dense model's.
        documents: Document of each item.

    Returns:
        The columns of :func:`compare`.

    Example:
        >>> row = compare_shares(np.zeros(6, bool), np.ones(6, bool), list("abcdef"))
        >>> row["value"], row["difference"], round(row["difference_high"], 3), row["p"]
        (0.0, -1.0, -0.219, 0.03125)
    """
    before, p, ends = right if dense is None else dense, float("nan"), Interval(0.0, 0.0)
    if dense is not None:
        p, ends = mcnemar(dense, right, documents), paired_difference_interval(dense, right, documents)
        ends = Interval(min(ends.low, 0.0), max(ends.high, 0.0)) if p >= 0.05 else ends
    return _row(float(right.mean()), float(before.mean()), len(right), share_interval(right, documents), ends, p)


def compare_areas(
    values: Float[np.ndarray, " items"],
    dense: Float[np.ndarray, " items"] | None,
    labels: Int[np.ndarray, " items"],
    documents: Sequence[str],
) -> Row:
    """AUROC, and its paired difference by DeLong's test with Student's t over documents.

    The interval of the AUROC itself is Wilson's, with as many items as a share of the same variance would have: it
    stays in [0, 1]. Where nothing varies, both intervals are those of shares of the rarest label's documents, so that
    none has the width 0.

    Args:
        values: A value of each item, of :func:`semprune.statistics.auroc.auroc_values`.
        dense: The dense model's; None where ``values`` are the dense model's.
        labels: Right labels.
        documents: Document of each item.

    Returns:
        The columns of :func:`compare`; NaN where all items have one label.

    Example:
        >>> row = compare_areas(np.ones(8), np.ones(8), np.arange(8) % 2, list("abcdefgh"))
        >>> row["value"], round(row["low"], 2), row["difference"], round(row["difference_low"], 2), row["p"]
        (1.0, 0.51, 0.0, -0.49, 1.0)
    """
    names = np.asarray(documents, dtype=str)
    least = min(len(np.unique(names[labels == label])) for label in np.unique(labels))
    value, ends, p = float(values.mean()), Interval(0.0, 0.0), float("nan")
    before = value
    if dense is not None:
        before = float(dense.mean())
        ends, p = mean_test(values - dense, documents)
        if clustered_error(values - dense, documents)[0] == 0:
            ends, p = _certain(value - before, least)
    return _row(value, before, len(values), _area_interval(values, least, documents), ends, p)


def _area_interval(values: Float[np.ndarray, " items"], least: int, documents: Sequence[str]) -> Interval:
    area, (error, freedom) = float(values.mean()), clustered_error(values, documents)
    if np.isnan(error):
        return Interval(float("nan"), float("nan"))
    n = area * (1 - area) / error**2 if error > 0 else least
    return wilson(min(max(area, 0.0), 1.0), float(np.clip(n, least, max(least, freedom + 1))))


def _certain(difference: float, n: int) -> tuple[Interval, float]:
    """Interval and p of a difference that no pair of n contradicts: as of a share, by counts of pairs."""
    gained, lost = max(difference, 0.0) * n, max(-difference, 0.0) * n
    return tango(gained, lost, n), min(1.0, 2 * 0.5 ** (gained + lost))


def _row(value: float, dense: float, n: int, ends: Interval, difference: Interval, p: float) -> Row:
    row: Row = {"value": value, "low": ends.low, "high": ends.high, "n": n, "dense": dense, "p": p}
    return row | {"difference": value - dense, "difference_low": difference.low, "difference_high": difference.high}


SPREAD_COLUMNS = ("dataset", "family", "metric", "prompts", "mean", "sd", "lowest", "highest", "lowest_prompt", "highest_prompt")  # fmt: skip # noqa: E501
"""Columns of :func:`prompt_spread`."""


def prompt_spread(results: pd.DataFrame) -> pd.DataFrame:
    r"""Mean and spread of every metric over the prompts of a data set.

    .. math:: \mathrm{sd} = \sqrt{\tfrac{1}{k-1} \sum_{i=1}^{k} (v_i - \bar v)^2}

    The spread is over wordings on the same items: it is not the interval of the items' draw, which each row of the
    results has for itself.

    Source: ours.

    Args:
        results: Results of one model, of :func:`semprune.evaluate` with ``prompt="all"``.

    Returns:
        One row per data set and metric with :data:`SPREAD_COLUMNS`; ``sd`` is NaN where there is one prompt.

    Example:
        >>> keys = {"dataset": "toy", "family": "topic", "metric": "accuracy", "prompt": ["a", "b"]}
        >>> prompt_spread(pd.DataFrame(keys | {"value": [0.5, 0.75]}))[["mean", "lowest", "highest_prompt"]].values.tolist()
        [[0.625, 0.5, 'b']]
    """  # noqa: E501
    rows = []
    for (dataset, family, metric), group in results.groupby(["dataset", "family", "metric"], sort=True):
        ordered = group.sort_values(["value", "prompt"])
        low, high = ordered.iloc[0], ordered.iloc[-1]
        values = group["value"]
        rows.append((dataset, family, metric, len(group), values.mean(), values.std(ddof=1), low["value"], high["value"], low["prompt"], high["prompt"]))  # fmt: skip # noqa: E501
    return pd.DataFrame(rows, columns=list(SPREAD_COLUMNS))
