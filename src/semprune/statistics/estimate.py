"""Means with their standard errors and degrees of freedom, from several sources of variance."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy import special

from semprune.statistics.bootstrap import BLOCK, Statistic
from semprune.statistics.intervals import clustered_error, jackknife_variance


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean with its standard error.

    Attributes:
        value: The mean.
        error: Its standard error.
        freedom: Degrees of freedom of the error.
    """

    value: float
    error: float
    freedom: float = math.inf

    @property
    def interval(self) -> tuple[float, float]:
        """95 % interval by Student's t."""
        margin = float(special.stdtrit(self.freedom, 0.975)) * self.error
        return self.value - margin, self.value + margin

    @property
    def p(self) -> float:
        """Two-sided p value of 0 by Student's t; NaN without an error."""
        return float(2 * special.stdtr(self.freedom, -abs(self.value) / self.error)) if self.error > 0 else float("nan")

    def wider(self, variance: float, freedom: float = math.inf) -> Estimate:
        """With the variance of something else that is drawn at random, e.g. calibration sequences.

        Args:
            variance: Of what is drawn.
            freedom: Degrees of freedom that it is estimated with.

        Example:
            >>> wide = Estimate(1.0, 3.0).wider(16.0, 4)
            >>> wide.error, round(wide.freedom, 2)
            (5.0, 9.77)
        """
        parts = np.array([self.error**2, variance])
        return Estimate(self.value, float(np.sqrt(parts.sum())), effective_freedom(parts, [self.freedom, freedom]))


def effective_freedom(variances: Float[np.ndarray, " parts"], freedoms: Sequence[float]) -> float:
    """Degrees of freedom of a sum of independently estimated variances.

    Source: Satterthwaite (1946).

    Example:
        >>> float(effective_freedom(np.array([1.0, 1.0]), [4.0, 4.0]))
        8.0
    """
    known = variances > 0
    weight = float((np.square(variances[known]) / np.asarray(freedoms, dtype=np.float64)[known]).sum())
    return float(variances.sum()) ** 2 / weight if weight > 0 else math.inf


def jackknifed(statistic: Statistic, documents: Sequence[str]) -> Estimate:
    """Value of a weighted statistic with its jackknife error: documents are left out one by one.

    Source: the jackknife; of an AUROC it is DeLong's error, to a factor n/(n − 1) of each class.

    Args:
        statistic: Maps multiplicities ``[resamples, items]`` to values ``[resamples]``.
        documents: Document of each item.

    Returns:
        The estimate, with documents − 1 degrees of freedom; its error is NaN of a single document, or where the
        statistic is not defined without one of them.

    Example:
        >>> mean = jackknifed(lambda weights: weights @ np.array([0.0, 1.0, 2.0]) / weights.sum(-1), ["a", "b", "c"])
        >>> mean.value, round(mean.error, 4), mean.freedom
        (1.0, 0.5774, 2)
    """
    names, document = np.unique(np.asarray(documents, dtype=str), return_inverse=True)
    value = float(statistic(np.ones((1, len(document))))[0])
    if len(names) < 2:
        return Estimate(value, float("nan"))
    step = max(1, BLOCK // len(document))
    parts = [np.arange(first, min(first + step, len(names))) for first in range(0, len(names), step)]
    without = np.concatenate([statistic((part[:, None] != document).astype(np.float64)) for part in parts])
    return Estimate(value, float(np.sqrt(jackknife_variance(without))), len(names) - 1)


def of_draws(values: Sequence[float]) -> tuple[float, int]:
    """Variance of the mean of independent draws, and its degrees of freedom: what :meth:`Estimate.wider` takes.

    Example:
        >>> of_draws([1.0, 3.0]), of_draws([1.0])
        ((1.0, 1), (nan, 0))
    """
    draws = len(values)
    return (float(np.var(values, ddof=1)) / draws if draws > 1 else float("nan")), draws - 1


def beyond_draws(excess: Estimate, values: Sequence[float]) -> Estimate:
    r"""Excess of something over the mean of draws of a control, with the wider of two intervals.

    One is over the items, as given. The other is over the draws: what one more of them would differ by,

    .. math:: s^2 \left(1 + \tfrac 1 n\right)

    with the variance s² of n draws. It is special only where both leave out 0: with few draws the sum of both variances
    has no t quantile that holds, and something that is but another draw is found special in one of twenty at most.

    Source: ours; the intersection-union test (Berger 1982).

    Args:
        excess: Its error is over items.
        values: Of the draws; no interval is known from one.

    Example:
        >>> [beyond_draws(Estimate(5.0, error, 99), [1.0, 3.0]).freedom for error in (0.1, 90.0)]
        [1, 99]
    """
    variance, freedom = of_draws(values)
    as_draw = Estimate(excess.value, math.sqrt(variance * (freedom + 2)), freedom)
    return as_draw if not freedom else max(excess, as_draw, key=lambda each: each.interval[1])


def crossed_mean(values: Float[np.ndarray, "draws items"], documents: Sequence[str]) -> Estimate:
    """Mean over items, clustered by document, and over draws of a control: the variance of both counts.

    What items and draws do together is in both variances: the error is a little too large rather than too small.

    Args:
        values: A value of each item under each draw; a single draw is not a sample, but what was chosen.
        documents: Document of each item.

    Example:
        >>> mean = crossed_mean(np.array([[0.0, 1.0], [2.0, 3.0]]), ["a", "b"])
        >>> mean.value, round(mean.error**2, 6)  # 1/4 of items and 1 of draws
        (1.5, 1.25)
    """
    error, freedom = clustered_error(values.mean(0), documents)
    over_items = Estimate(float(values.mean()), error, freedom)
    return over_items if len(values) == 1 else over_items.wider(*of_draws(values.mean(1).tolist()))
