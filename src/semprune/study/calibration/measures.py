"""How diverse calibration sequences are, and how much they are like the data that is evaluated: pure functions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from jaxtyping import Float, Int
from scipy.stats import pearsonr
from torch import Tensor

Tokens = Sequence[Sequence[int]]


def vocabulary_coverage(tokens: Tokens, vocabulary: int) -> float:
    """Share of the vocabulary that occurs.

    Example:
        >>> vocabulary_coverage([[1, 2, 2], [3]], 10)
        0.3
    """
    return len({token for row in tokens for token in row}) / vocabulary


def distinct_ngrams(tokens: Tokens, n: int) -> float:
    """Share of the n-grams inside of sequences that are different ones, in (0, 1]; 0 without any.

    Source: distinct-n (arXiv 1510.03055).

    Example:
        >>> distinct_ngrams([[1, 2, 1, 2]], 2)  # 12, 21, 12
        0.6666666666666666
    """
    found = [tuple(row[k : k + n]) for row in tokens for k in range(len(row) - n + 1)]
    return len(set(found)) / len(found) if found else 0.0


def ngram_coverage(tokens: Tokens, target: Tokens, n: int) -> float:
    """Share of a target's n-grams, as often as they occur, that occur in some tokens; 0 without any.

    Example:
        >>> ngram_coverage([[1, 2, 3]], [[1, 2, 4], [1, 2]], 2)  # 12 twice of 12, 24, 12
        0.6666666666666666
    """
    own = {tuple(row[k : k + n]) for row in tokens for k in range(len(row) - n + 1)}
    asked = [tuple(row[k : k + n]) for row in target for k in range(len(row) - n + 1)]
    return sum(gram in own for gram in asked) / len(asked) if asked else 0.0


def dispersion(embeddings: Float[Tensor, "texts width"]) -> float:
    """Mean cosine distance of different texts' embeddings, in [0, 2]; 0 where all point one way.

    Source: ours.

    Example:
        >>> round(dispersion(torch.tensor([[1.0, 0.0], [0.0, 2.0], [1.0, 0.0]])), 3)  # 1, 1 and 0
        0.667
    """
    unit = torch.nn.functional.normalize(embeddings.double(), dim=1)
    count = len(unit)
    if count < 2:
        return 0.0
    together = float(unit.sum(0).square().sum() - count) / (count * (count - 1))  # mean cosine of pairs
    return 1.0 - together


def mean_cosine(first: Float[Tensor, "texts width"], second: Float[Tensor, "others width"]) -> float:
    """Cosine of two groups' mean embeddings, each text of length 1.

    Example:
        >>> round(mean_cosine(torch.tensor([[2.0, 0.0]]), torch.tensor([[0.0, 1.0], [5.0, 0.0]])), 3)
        0.707
    """
    means = [torch.nn.functional.normalize(group.double(), dim=1).mean(0) for group in (first, second)]
    return float(torch.nn.functional.cosine_similarity(means[0], means[1], dim=0))


def concept_coverage(counts: Int[Tensor, " concepts"], least: int = 1) -> float:
    """Share of the concepts that at least so many tokens carry.

    Example:
        >>> concept_coverage(torch.tensor([0, 3, 1, 9]), least=2)
        0.5
    """
    return float((counts >= least).double().mean())


def jensen_shannon(first: Float[Tensor, " concepts"], second: Float[Tensor, " concepts"]) -> float:
    r"""Jensen-Shannon divergence of two histograms in bits: 0 where they are alike, 1 where they share nothing.

    .. math:: H\left(\tfrac{p + q}{2}\right) - \tfrac{H(p) + H(q)}{2}

    Args:
        first: Counts, not all 0.
        second: Counts, not all 0.

    Returns:
        In [0, 1]; NaN where a histogram is empty.

    Example:
        >>> jensen_shannon(torch.tensor([2, 2]), torch.tensor([5, 5])), jensen_shannon(torch.tensor([1, 0]),
        ...     torch.tensor([0, 4]))
        (0.0, 1.0)
    """
    if not (first.sum() > 0 and second.sum() > 0):
        return float("nan")
    p, q = first.double() / first.sum(), second.double() / second.sum()

    def entropy(shares: Tensor) -> float:
        return float(-(torch.xlogy(shares, shares)).sum() / np.log(2.0))

    return max(0.0, entropy((p + q) / 2) - (entropy(p) + entropy(q)) / 2)


def profile_correlation(first: Mapping[str, Float[Tensor, " in"]], second: Mapping[str, Float[Tensor, " in"]]) -> float:
    """Mean over matrices of the correlation of two profiles of input norms, on a logarithmic scale.

    Source: ours. Wanda prunes each matrix by these norms: profiles that correlate choose the same weights.

    Args:
        first: Root mean squares of each matrix's input features; matrices as in ``second``.
        second: Of other tokens.

    Returns:
        Mean Pearson correlation, in [-1, 1].

    Example:
        >>> profile_correlation({"a": torch.tensor([1.0, 10.0, 100.0])}, {"a": torch.tensor([2.0, 20.0, 200.0])})
        1.0
    """
    tiny = torch.finfo(torch.float64).tiny
    found = []
    for name, norms in first.items():
        logs = [profile.double().clamp_min(tiny).log10().cpu().numpy() for profile in (norms, second[name])]
        found.append(float(pearsonr(*logs).statistic))
    return round(float(np.mean(found)), 12)


def participation_ratio(second_moments: Float[Tensor, "in in"]) -> float:
    r"""Effective number of directions that activations take, from their second moments: 1 to the width.

    .. math:: \left(\sum_k \lambda_k\right)^2 / \sum_k \lambda_k^2 = \operatorname{tr}(M)^2 / \lVert M \rVert_F^2

    Source: the participation ratio of neural dimensionality (Gao et al. 2017).

    Example:
        >>> participation_ratio(torch.diag(torch.tensor([2.0, 2.0, 0.0])))
        2.0
    """
    wide = second_moments.double()
    return float(wide.trace().square() / wide.square().sum())
