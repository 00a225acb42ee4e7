"""How far a pruned model's answers are from the dense model's, right or wrong."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pandas as pd
from scipy.stats import spearmanr

from semprune.artefacts import TABLES
from semprune.evaluation.results.flips import check_paired
from semprune.statistics.divergence import choice_divergence
from semprune.statistics.intervals import mean_test
from semprune.statistics.proportions import paired_difference_interval, share_interval

_KEYS = list(TABLES["predictions"].keys)
FLIPS = ("flips", "lost", "gained", "moved")
"""Shares of items that were right and are not, or the other way round; each of both; wrong with another answer."""
FIDELITY_COLUMNS = (
    *("dataset", "prompt", "n", "divergence", "low", "high"),
    *(f"{name}{end}" for name in (*FLIPS, "change") for end in ("", "_low", "_high")),
    "rank_agreement",
)
"""Columns of :func:`item_fidelity`."""


def item_fidelity(dense: pd.DataFrame, pruned: pd.DataFrame) -> pd.DataFrame:
    r"""Compare two models' answers to the same items, data set by data set.

    .. math:: \mathrm{KL}_i = \sum_c p_i(c) \log \frac{p_i(c)}{p'_i(c)}, \quad p_i = \mathrm{softmax}(s_i)

    over the choices of an item, with the dense model's summed log-probabilities s.

    Source: ours; flips are those of arXiv 2407.09141, from right to wrong and from wrong to right.

    Args:
        dense: The dense model's predictions.
        pruned: The pruned model's, of the same items.

    Returns:
        One row per data set and prompt with :data:`FIDELITY_COLUMNS`: ``divergence`` in nats with its 95 % interval
        over documents; the shares of items that are ``lost`` (right only before), ``gained`` (right only now),
        ``flips`` (both of these) and ``moved`` (wrong both times, with another answer), each with Wilson's interval;
        the ``change`` of accuracy that is gained minus lost, with Tango's; and ``rank_agreement``, the mean over pairs
        of choices of Spearman's correlation of the log-odds; NaN where items have different numbers of choices.

    Raises:
        UnpairedPredictionsError: If the two tables hold different items.

    Example:
        >>> keys = {"dataset": "toy", "prompt": "ask", "item_id": ["0", "1"], "document_id": ["0", "1"], "label": 0}
        >>> one = pd.DataFrame(keys | {"prediction": [0, 1], "scores": [[-1.0, -3.0], [-2.0, -1.0]]})
        >>> two = pd.DataFrame(keys | {"prediction": [1, 1], "scores": [[-4.0, -3.5], [-2.0, -1.0]]})
        >>> item_fidelity(one, two)[["n", "lost", "gained", "moved"]].values.tolist()
        [[2.0, 0.5, 0.0, 0.0]]
    """
    check_paired(dense, pruned)
    answers = ["prediction", "scores"]
    both = dense[[*_KEYS, "document_id", "label", *answers]].merge(
        pruned[[*_KEYS, *answers]], on=_KEYS, suffixes=("", "_pruned"), validate="one_to_one"
    )
    rows = []
    for (dataset, prompt), own in both.groupby(["dataset", "prompt"], sort=True):
        pairs = zip(own["scores"], own["scores_pruned"], strict=True)  # items may have different numbers of choices
        values = np.array([float(choice_divergence(*(np.asarray(one) for one in pair))) for pair in pairs])
        documents = own["document_id"].astype(str).tolist()
        interval, _ = mean_test(values, documents)
        before, after = ((own[name] == own["label"]).to_numpy() for name in ("prediction", "prediction_pruned"))
        change = (float(after.mean() - before.mean()), *paired_difference_interval(before, after, documents))
        turned = (own["prediction"] != own["prediction_pruned"]).to_numpy()
        kinds = (before != after, before & ~after, after & ~before, turned & ~before & ~after)  # as FLIPS
        shares = [part for kind in kinds for part in (float(kind.mean()), *share_interval(kind, documents))]
        agreement = _rank_agreement(own["scores"].tolist(), own["scores_pruned"].tolist())
        rows.append((dataset, prompt, len(own), values.mean(), *interval, *shares, *change, agreement))
    return pd.DataFrame(rows, columns=list(FIDELITY_COLUMNS))


def _rank_agreement(dense: list[list[float]], pruned: list[list[float]]) -> float:
    if len({len(scores) for scores in dense}) > 1:
        return float("nan")
    before, after = np.array(dense), np.array(pruned)
    odds = [[scores[:, second] - scores[:, first] for scores in (before, after)]
            for first, second in combinations(range(before.shape[1]), 2)]  # fmt: skip
    found = [spearmanr(*pair).statistic for pair in odds if all(np.ptp(each) for each in pair)]
    return float(np.mean(found)) if found else float("nan")
