"""Items that are answered otherwise, and how far two sets of scores of the same items are apart."""

from __future__ import annotations

import numpy as np
import pandas as pd

from semprune.artefacts import TABLES
from semprune.errors import UnpairedPredictionsError
from semprune.evaluation.results.comparison import compare_shares

_KEYS = list(TABLES["predictions"].keys)
FLIP_COLUMNS = (
    "dataset",
    "prompt",
    "item_id",
    "document_id",
    "label",
    "dense_prediction",
    "pruned_prediction",
    "flip",
    "dense_scores",
    "pruned_scores",
    "dense_margin",
    "pruned_margin",
)
"""Columns of a table of flips."""


def flips(dense: pd.DataFrame, pruned: pd.DataFrame) -> pd.DataFrame:
    r"""List the items whose prediction changed.

    .. math:: m = \ell_{label} - \max_{c \ne label} \ell_c

    Source: ours.

    Args:
        dense: The dense model's predictions, with the columns of
            :class:`semprune.evaluation.predictions.prediction.Prediction`.
        pruned: The pruned model's, of the same items.

    Returns:
        One row per item whose prediction changed, with :data:`FLIP_COLUMNS`, by data set, prompt and item. ``flip`` is
        ``lost`` (right before), ``gained`` (right now) or ``moved`` (wrong both times). The margins, in nats, are the
        right choice's log-likelihood minus the best other one's.

    Raises:
        UnpairedPredictionsError: If the two tables hold different items.

    Example:
        >>> keys = {"dataset": "toy", "prompt": "ask", "item_id": ["0", "1"], "document_id": ["0", "1"], "label": 0}
        >>> dense = pd.DataFrame(keys | {"prediction": [0, 1], "scores": [[-1.0, -3.0], [-2.0, -1.0]]})
        >>> pruned = pd.DataFrame(keys | {"prediction": [1, 1], "scores": [[-4.0, -3.5], [-2.0, -1.0]]})
        >>> flips(dense, pruned)[["item_id", "flip", "dense_margin", "pruned_margin"]].values.tolist()
        [['0', 'lost', 2.0, -0.5]]
    """
    check_paired(dense, pruned)
    kept = [*_KEYS, "document_id", "label", "prediction", "scores"]
    both = dense[kept].merge(
        pruned[[*_KEYS, "prediction", "scores"]], on=_KEYS, suffixes=("_dense", "_pruned"), validate="one_to_one"
    )
    both = both.rename(columns={f"{name}_{who}": f"{who}_{name}" for name in kept[-2:] for who in ("dense", "pruned")})
    both = both[both["dense_prediction"] != both["pruned_prediction"]].sort_values(_KEYS, ignore_index=True)
    both["flip"] = "moved"
    both.loc[both["dense_prediction"] == both["label"], "flip"] = "lost"
    both.loc[both["pruned_prediction"] == both["label"], "flip"] = "gained"
    for who in ("dense", "pruned"):
        both[f"{who}_margin"] = [
            margin(scores, label) for scores, label in zip(both[f"{who}_scores"], both["label"], strict=True)
        ]
    return both[list(FLIP_COLUMNS)]


def margin(scores: list[float], label: int) -> float:
    """Right choice's log-likelihood minus the best other one's.

    Example:
        >>> margin([-3.0, -1.0, -2.0], 1)
        1.0
    """
    others = [score for choice, score in enumerate(scores) if choice != label]
    return float(scores[label] - max(others))


def check_paired(dense: pd.DataFrame, pruned: pd.DataFrame) -> None:
    """Raise :class:`UnpairedPredictionsError` unless two tables of predictions hold the same items."""
    mine, theirs = (set(map(tuple, table[_KEYS].to_numpy().tolist())) for table in (dense, pruned))
    for dataset in sorted({key[0] for key in mine ^ theirs}):
        only_dense = sum(key[0] == dataset for key in mine - theirs)
        raise UnpairedPredictionsError(dataset, only_dense, sum(key[0] == dataset for key in theirs - mine))


def compare_scores(reference: pd.DataFrame, other: pd.DataFrame) -> pd.DataFrame:
    """Log-likelihoods, answers and accuracy of two runs over the same items, each data set and all together.

    Source: ours.

    Args:
        reference: Predictions, for example in float32.
        other: Predictions of the same items, for example in bfloat16.

    Returns:
        One row per data set, then ``all``: ``n`` items, ``mean_difference`` and ``largest_difference`` of the
        choices' log-likelihoods (absolute, nats), ``changed`` (share of other answers), ``accuracy`` (other minus
        reference), and ``low`` and ``high``, its 95 % interval
        by document (Tango's).

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
    rows = [_row(name, group, second.loc[group.index]) for name, group in first.groupby("dataset")]
    return pd.DataFrame([*rows, _row("all", first, second)])


def _row(name: object, first: pd.DataFrame, second: pd.DataFrame) -> dict[str, object]:
    apart = np.abs(np.concatenate(first["scores"].tolist()) - np.concatenate(second["scores"].tolist()))
    right = [(table["prediction"] == table["label"]).to_numpy() for table in (first, second)]
    documents = (first["dataset"] + "/" + first["document_id"].astype(str)).tolist()
    paired = compare_shares(right[1], right[0], documents)
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
