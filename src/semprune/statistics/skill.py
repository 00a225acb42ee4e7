"""What a model keeps of what it could do: its score above guessing, as a share of the dense model's."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from scipy import special

from semprune.statistics.estimate import crossed_mean
from semprune.statistics.intervals import Bounded, clustered_sums

_NOTHING = (float("nan"), float("nan"), float("nan"))


@dataclass(frozen=True, slots=True)
class PairedSkill:
    """One data set's score above guessing, dense and pruned.

    Attributes:
        dense: The dense model's values of the items, whose mean is its score.
        pruned: The pruned model's, of the same items.
        guessing: Score of a guess: of the more frequent label or of chance, 0.5 of AUROC, 0 of a correlation.
        documents: Document of each item.
    """

    dense: Float[np.ndarray, " items"]
    pruned: Float[np.ndarray, " items"]
    guessing: float
    documents: Sequence[str]


def retained_skill(datasets: Sequence[PairedSkill]) -> Bounded:
    r"""Share of the dense model's skill that the pruned one keeps, pooled over data sets.

    .. math:: \rho = \frac{\sum_k (P_k - g_k)}{\sum_k (D_k - g_k)}

    with scores of the pruned and the dense model and of guessing. The interval is of these data sets, paired by item
    and clustered by document; no normal distribution of a ratio is assumed, and a dense model that does not
    clearly beat guessing has none.

    Source: ours (equations.md); the interval Fieller (1954), Student's t.

    Args:
        datasets: Of one family, for example; each with at least two documents.

    Returns:
        Share with both ends of its 95 % interval: 1 is everything, 0 is guessing, below is worse than guessing. NaN
        ends where the dense skill is not clearly above 0; all NaN without data sets or skill.

    Example:
        >>> dense, pruned = np.array([1.0, 1.0, 1.0, 0.8]), np.array([0.8, 0.7, 0.7, 0.6])
        >>> share, low, high = retained_skill([PairedSkill(dense, pruned, 0.5, list("abcd"))])
        >>> round(share, 3), round(low, 2), round(high, 2)
        (0.444, 0.21, 0.61)
    """
    kept = had = kept_variance = had_variance = covariance = 0.0
    freedom = 0
    for one in datasets:
        kept += float(one.pruned.mean()) - one.guessing
        had += float(one.dense.mean()) - one.guessing
        sums = np.stack([clustered_sums(values, one.documents) for values in (one.pruned, one.dense)])
        clusters = sums.shape[1]
        freedom += clusters - 1
        scale = clusters / (clusters - 1) / len(one.dense) ** 2 if clusters > 1 else float("nan")
        kept_variance += scale * float(sums[0] @ sums[0])
        had_variance += scale * float(sums[1] @ sums[1])
        covariance += scale * float(sums[0] @ sums[1])
    if not had > 0:
        return _NOTHING
    return (kept / had, *_fieller(kept, had, kept_variance, had_variance, covariance, freedom))


def recovered_share(
    patched: Float[np.ndarray, "draws items"],
    receiver: Float[np.ndarray, " items"],
    donor: Float[np.ndarray, " items"],
    documents: Sequence[str],
) -> Bounded:
    r"""Share of the way from one model's score to another's that a patch goes.

    .. math:: \frac{\bar R_{patched} - R_{receiver}}{R_{donor} - R_{receiver}}

    Paired by item, clustered by document; draws of a control are samples too. Where the two models' scores do not
    clearly differ there is no way to go, and no share: a ratio to a tiny difference says nothing.

    Source: ours (equations.md S10); the interval Fieller (1954), Student's t.

    Args:
        patched: Values of the items whose mean is the score, under each draw of the patched neurons.
        receiver: The same of the model that is patched, as it is.
        donor: The same of the model that the activations are from.
        documents: Document of each item.

    Returns:
        Share with both ends of its 95 % interval: 0 is nothing, 1 the donor's score. NaN where there is none; NaN ends
        where so few draws differ so much that they say nothing.

    Example:
        >>> pruned, dense = np.array([0.4, 0.5, 0.6, 0.5]), np.array([0.9, 0.8, 1.0, 0.9])
        >>> share, low, high = recovered_share(np.array([[0.8, 0.7, 0.9, 0.8]]), pruned, dense, list("abcd"))
        >>> round(share, 3), round(low, 2), round(high, 2)
        (0.75, 0.63, 0.81)
        >>> recovered_share(np.array([dense]), dense, dense + np.array([0.1, -0.1, 0.1, -0.09]), list("abcd"))
        (nan, nan, nan)
    """
    sign = float(np.sign(donor.mean() - receiver.mean()))
    gained, lost = sign * (patched - receiver), sign * (donor - receiver)
    above, below = crossed_mean(gained, documents), crossed_mean(lost[None], documents)
    if not below.interval[0] > 0:
        return _NOTHING
    share = above.value / below.value
    sums = [clustered_sums(values, documents) for values in (gained.mean(0), lost)]
    clusters = len(sums[0])
    covariance = float(sums[0] @ sums[1]) * clusters / max(1, clusters - 1) / len(receiver) ** 2
    freedom = crossed_mean(gained - share * lost, documents).freedom  # of what the share is tested by
    return (share, *_fieller(above.value, below.value, above.error**2, below.error**2, covariance, freedom))


def _fieller(
    above: float, below: float, above_variance: float, below_variance: float, covariance: float, freedom: float
) -> tuple[float, float]:
    """Both ends of the interval of a ratio; NaN where its denominator is not clearly above 0."""
    square = float(special.stdtrit(freedom, 0.975)) ** 2 if freedom else float("nan")
    a = below**2 - square * below_variance
    if not a > 0:
        return float("nan"), float("nan")
    b = above * below - square * covariance
    root = math.sqrt(max(0.0, b**2 - a * (above**2 - square * above_variance)))
    return (b - root) / a, (b + root) / a


def guessing_accuracy(labels: Int[np.ndarray, " items"], choices: Int[np.ndarray, " items"]) -> float:
    """Accuracy of whoever does not read the item: of chance or of the most frequent label, whichever is larger.

    Args:
        labels: Right choices.
        choices: Number of choices of each item.

    Returns:
        Share of right guesses, in [0, 1].

    Example:
        >>> guessing_accuracy(np.array([0, 1, 1, 1]), np.array([2, 2, 2, 2]))
        0.75
    """
    return float(max(np.bincount(labels).max() / len(labels), np.mean(1 / choices)))


def d_prime(auroc: float) -> float:
    r"""How many standard deviations two classes lie apart, if they are normal and equally wide.

    .. math:: d' = \sqrt 2 \, \Phi^{-1}(\mathrm{AUROC})

    Source: Green and Swets (1966).

    Args:
        auroc: In [0, 1].

    Returns:
        0 at guessing, infinite at 1.

    Example:
        >>> round(d_prime(0.9), 3), d_prime(0.5)
        (1.812, 0.0)
    """
    return float(math.sqrt(2) * special.ndtri(auroc))
