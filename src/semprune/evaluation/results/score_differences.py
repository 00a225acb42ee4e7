"""How far two sets of scores of the same items are apart: what a number format costs."""

from __future__ import annotations

import numpy as np
import pandas as pd

from semprune.evaluation.results.comparison import compare
from semprune.evaluation.results.flips import check_paired
from semprune.statistics.weighting import weighted_mean

_KEYS = ["dataset", "prompt", "item_id"]


def compare_scores(reference: pd.DataFrame, other: pd.DataFrame, *, seed: int = 0) -> pd.DataFrame:
    """Log-likelihoods, answers and accuracy of two runs over the same items, each data set and all together.

    Source: ours.

    Args:
        reference: Predictions, for example in float32.
        other: Predictions of the same items, for example in bfloat16.
        seed: Seed of the bootstrap by document.

    Returns:
        One row per data set, then ``all``: ``n`` items, ``mean_difference`` and ``largest_difference`` of the
        choices' log-likelihoods (absolute, nats), ``changed`` (share of other answers), ``accuracy`` (other minus
        reference), and ``low`` and ``high``, its 95 % interval.

    Raises:
        UnpairedPredictionsError: If the two tables hold different items.

    Example:
        >>> keys = {"dataset": "toy", "prompt": "ask", "item_id": ["0"], "document_id": ["0"], "label": 0}
        >>> one = pd.DataFrame(keys | {"prediction": [0], "scores": [[-1.0, -3.0]]})
        >>> two = pd.DataFrame(keys | {"prediction": [1], "scores": [[-3.5, -3.0]]})
        >>> compare_scores(one, two)[["mean_difference", "largest_difference", "accuracy"]].values.tolist()[-1]
        [1.25, 2.5, -1.0]
    """
    check_paired(reference, other)
    first, second = (table.sort_values(_KEYS, ignore_index=True) for table in (reference, other))
    rows = [_row(name, group, second.loc[group.index], seed) for name, group in first.groupby("dataset")]
    return pd.DataFrame([*rows, _row("all", first, second, seed)])


def _row(name: object, first: pd.DataFrame, second: pd.DataFrame, seed: int) -> dict[str, object]:
    apart = np.abs(np.concatenate(first["scores"].tolist()) - np.concatenate(second["scores"].tolist()))
    right = [(table["prediction"] == table["label"]).to_numpy(dtype=float) for table in (first, second)]
    documents = (first["dataset"] + "/" + first["document_id"].astype(str)).tolist()
    paired = compare(
        lambda weights: weighted_mean(right[1], weights),
        lambda weights: weighted_mean(right[0], weights),
        documents,
        seed=seed,
    )
    return {
        "dataset": name,
        "n": len(first),
        "mean_difference": float(apart.mean()),
        "largest_difference": float(apart.max()),
        "changed": float((first["prediction"].to_numpy() != second["prediction"].to_numpy()).mean()),
        "accuracy": paired["difference"],
        "low": paired["difference_low"],
        "high": paired["difference_high"],
    }
