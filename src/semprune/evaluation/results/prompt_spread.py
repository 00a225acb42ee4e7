"""How much a score hangs on the wording of the prompt."""

from __future__ import annotations

import pandas as pd

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
