"""How far two rankings of the same neurons agree: of two fits, two word lists, two lexicons."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import numpy as np
from jaxtyping import Float, Int
from scipy.stats import spearmanr
from torch import Tensor


def top_rows(ranking: Float[Tensor, " neurons"], k: int) -> Int[Tensor, " rows"]:
    """Rows of the ``k`` neurons of largest positive ranking; fewer where fewer are positive.

    Example:
        >>> import torch
        >>> top_rows(torch.tensor([0.0, 3.0, 1.0]), 3).tolist()
        [1, 2]
    """
    best = ranking.topk(min(k, len(ranking)))
    return best.indices[best.values > 0]


def jaccard(one: Int[Tensor, " a"], other: Int[Tensor, " b"]) -> float:
    r"""Overlap of two sets of rows, `|A ∩ B| / |A ∪ B|`; NaN where both are empty.

    Example:
        >>> import torch
        >>> jaccard(torch.tensor([1, 2, 3]), torch.tensor([3, 4, 1]))
        0.5
    """
    first, second = set(one.tolist()), set(other.tolist())
    return len(first & second) / len(first | second) if first | second else float("nan")


def chance_jaccard(k: int, neurons: int) -> float:
    """What two sets of ``k`` of all neurons, drawn independently, share on average (to first order).

    Example:
        >>> chance_jaccard(10, 100)  # one of ten is shared: 1 / 19
        0.05263157894736842
    """
    shared = k * k / neurons
    return shared / (2 * k - shared)


def rank_correlation(one: Float[Tensor, " neurons"], other: Float[Tensor, " neurons"]) -> float:
    """Spearman's ρ of two rankings over the neurons that either of them ranks; NaN for fewer than three of these.

    Neurons that are 0 in both say nothing of agreement, and would swamp it.

    Example:
        >>> import torch
        >>> rank_correlation(torch.tensor([1.0, 2.0, 3.0, 0.0]), torch.tensor([2.0, 4.0, 9.0, 0.0]))
        1.0
    """
    ranked = (one != 0) | (other != 0)
    first, second = one[ranked].double().numpy(), other[ranked].double().numpy()
    if len(first) < 3 or np.ptp(first) == 0 or np.ptp(second) == 0:
        return float("nan")
    return float(spearmanr(first, second).statistic)


def agreement(rankings: Sequence[Float[Tensor, " neurons"]], k: int) -> tuple[list[float], list[float]]:
    """Jaccard overlap of the top ``k`` and rank correlation of every pair of rankings.

    Example:
        >>> import torch
        >>> agreement([torch.tensor([1.0, 2.0, 3.0]), torch.tensor([3.0, 2.0, 1.0])], 2)
        ([0.3333333333333333], [-1.0])
    """
    pairs = list(combinations(rankings, 2))
    overlaps = [jaccard(top_rows(one, k), top_rows(other, k)) for one, other in pairs]
    return overlaps, [rank_correlation(one, other) for one, other in pairs]
