"""How much each matrix gives up: all alike, less where outliers are many (OWL), less where more hangs on it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import expit
from torch import Tensor

from semprune.errors import SettingError
from semprune.pruning.selection.keep import pruned_count
from semprune.ranges import check_ranges
from semprune.types import Range

ALLOCATIONS = ("uniform", "owl")


@dataclass(frozen=True, slots=True)
class OWL:
    """Outlier-weighed layerwise sparsity.

    Source: arXiv 2310.05175, with its settings for LLaMA.

    Attributes:
        multiple: M; a Wanda score above M times the mean score of its block is an outlier.
        spread: λ; kept shares of the blocks span 2 λ.
    """

    multiple: Annotated[float, Range(0, ends="(]", words="> 0, a multiple of the mean score")] = 5.0
    spread: Annotated[float, Range(0, 0.5, "[)", "in [0, 0.5), half the span of the blocks' sparsities")] = 0.08

    def __post_init__(self) -> None:
        """Check the values.

        Raises:
            SettingError: A value is out of range.
        """
        check_ranges(self, "owl_")


def outlier_share(scores: Iterable[Float[Tensor, "out in"]], multiple: float) -> float:
    r"""Return the share of a block's scores that are above a multiple of their mean, over all its matrices together.

    Source: arXiv 2310.05175, the layerwise outlier distribution.

    Args:
        scores: Non-negative scores of each matrix of the block.
        multiple: M.

    Example:
        >>> import torch
        >>> outlier_share([torch.tensor([[1.0, 1.0]]), torch.tensor([[1.0, 9.0]])], 2.0)
        0.25
    """
    found = list(scores)
    size = sum(score.numel() for score in found)
    limit = multiple * sum(float(score.double().sum()) for score in found) / size
    return sum(int((score > limit).sum()) for score in found) / size


def owl_sparsities(shares: Sequence[float], sizes: Sequence[int], sparsity: float, spread: float) -> list[float]:
    r"""Return the sparsity of each block: lower where outliers are many.

    .. math:: s_l = s - \left(d_l - \bar d\right), \quad
        d_l = 2 \lambda \frac{D_l - \min D}{\max D - \min D}

    The mean :math:`\bar d` weighs blocks by their weights, so that the mean sparsity over weights is the asked one; in
    the paper all blocks have one size. Blocks with equal shares all get the asked sparsity.

    Source: arXiv 2310.05175.

    Args:
        shares: D, from :func:`outlier_share`.
        sizes: Prunable weights of each block.
        sparsity: The asked share of all weights, in [0, 1).
        spread: λ.

    Raises:
        SettingError: A block's sparsity would be outside [0, 1).

    Example:
        >>> [round(value, 3) for value in owl_sparsities([0.01, 0.03], [8, 8], 0.5, 0.08)]
        [0.58, 0.42]
    """
    low, high = min(shares), max(shares)
    scaled = [2 * spread * (share - low) / (high - low) if high > low else 0.0 for share in shares]
    mean = sum(value * size for value, size in zip(scaled, sizes, strict=True)) / sum(sizes)
    found = [sparsity - (value - mean) for value in scaled]
    for block, value in enumerate(found):
        if not 0 <= value < 1:
            allowed = f"so small that every block's sparsity is in [0, 1): block {block} would get {value:.3f}"
            raise SettingError("owl_spread", spread, allowed)
    return found


SHARED = 0.15
"""How much the log-odds of a matrix's sparsity fall where e times as much hangs on its weights (ours)."""


def shared_sparsities(saliency: Sequence[float], sizes: Sequence[int], sparsity: float) -> list[float]:
    r"""Return the sparsity of each matrix: lower where more hangs on its weights, together exactly the asked one.

    .. math:: \operatorname{logit} s_m = c - \tau \log I_m, \quad
        \sum_m \lfloor s_m n_m \rfloor = \lfloor s \sum_m n_m \rfloor

    Source: equations.md G3 (ours).

    Args:
        saliency: I, above 0.
        sizes: n, the weights of each matrix.
        sparsity: The asked share of all weights, in [0, 1).

    Example:
        >>> [round(value, 2) for value in shared_sparsities([1.0, 1.0, 100.0], [10_000, 10_000, 20_000], 0.5)]
        [0.59, 0.59, 0.41]
        >>> shared_sparsities([1.0, 100.0], [100, 100], 0.0)
        [0.0, 0.0]
    """
    logs, counts = -SHARED * np.log(np.array(saliency)), np.array(sizes)
    total = pruned_count(sparsity, int(counts.sum()))
    if total == 0:
        return [0.0] * len(counts)

    def wanted(level: float) -> NDArray[np.float64]:
        found: NDArray[np.float64] = expit(level + logs) * counts
        return found

    reach = 40 + np.abs(logs).max()
    exact = wanted(brentq(lambda level: wanted(level).sum() - total, -reach, reach))
    whole = np.floor(exact).astype(int)
    whole[np.argsort(whole - exact)[: total - whole.sum()]] += 1  # what rounding left over, largest remainders first
    return [(int(count) + 0.5) / size for count, size in zip(np.minimum(whole, counts - 1), sizes, strict=True)]
