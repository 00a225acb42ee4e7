"""One statistic of one model: its paired difference from the dense model, and its spread over wordings."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

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
