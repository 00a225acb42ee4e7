"""Intervals over seeds and items at once: pure functions of arrays."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from semprune.statistics.auroc import binary_auroc
from semprune.statistics.bootstrap import bootstrap_p, document_resamples, percentile_interval

Array = np.ndarray
FLOOR = 0.02
"""Least rise of log-perplexity that a causal effect is divided by: 2 % is near what neurons that carry nothing cost,
and a ratio to less than that would reward noise. Ours."""
RESAMPLES = 1000


def seed_weights(seeds: int, resamples: int = RESAMPLES, seed: int = 0) -> Float[Array, "draws seeds"]:
    """How often each seed is drawn, as a share; the first row is the sample itself.

    Example:
        >>> seed_weights(4, 2)[0].tolist(), float(seed_weights(4, 2)[1].sum())
        ([0.25, 0.25, 0.25, 0.25], 1.0)
    """
    drawn = np.random.default_rng(seed).multinomial(seeds, np.full(seeds, 1 / seeds), size=resamples) / seeds
    return np.concatenate([np.full((1, seeds), 1 / seeds), drawn])


def unit_weights(documents: Sequence[str], resamples: int = RESAMPLES, seed: int = 0) -> Float[Array, "draws items"]:
    """How often each item is drawn, by its document; the first row is the sample itself."""
    drawn = list(document_resamples(documents, resamples, seed))
    return np.concatenate([np.ones((1, len(documents))), *drawn])


def mean_auroc(
    odds: Float[Array, "seeds items"], labels: Sequence[int], items: Float[Array, "draws items"], seeds: Array
) -> Float[Array, " draws"]:
    """AUROC, mean over seeds, for every draw of items and seeds.

    Example:
        >>> odds = np.array([[0.0, 1.0, 2.0], [2.0, 1.0, 0.0]])  # perfect, and reversed
        >>> mean_auroc(odds, [0, 1, 1], np.ones((1, 3)), np.array([[0.75, 0.25]])).tolist()
        [0.75]
    """
    positive = np.asarray(labels) == 1
    each = np.stack([binary_auroc(own, positive, items) for own in odds])  # [seeds, draws]
    return (each.T * seeds).sum(1)


def mean_nll(nll: Float[Array, "seeds sequences"], sequences: Array, seeds: Array) -> Float[Array, " draws"]:
    """Log-perplexity, mean over seeds (the geometric mean of their perplexities), for every draw.

    Example:
        >>> mean_nll(np.array([[1.0, 3.0], [2.0, 4.0]]), np.ones((1, 2)), np.array([[0.5, 0.5]])).tolist()
        [2.5]
    """
    each = (sequences @ nll.T) / sequences.sum(1, keepdims=True)  # [draws, seeds]
    return (each * seeds).sum(1)


def efficiency(drop: Array, rise: Array, floor: float = FLOOR) -> Array:
    """Causal effect per unit of log-perplexity: drop of AUROC over rise, where the rise counts as at least ``floor``.

    Example:
        >>> efficiency(np.array([0.1, 0.1, 0.1]), np.array([0.5, 0.0, -0.3])).round(6).tolist()
        [0.2, 5.0, 5.0]
    """
    return drop / np.maximum(rise, floor)


def summary(draws: Float[Array, " draws"]) -> dict[str, float]:
    """Value (the first draw), 95 % interval and p of "none" (the others).

    Example:
        >>> found = summary(np.array([0.5, *np.linspace(0.1, 1.0, 99)]))
        >>> found["value"], round(found["low"], 2), found["p"]
        (0.5, 0.12, 0.02)
    """
    low, high = percentile_interval(draws[1:])
    return {"value": float(draws[0]), "low": low, "high": high, "p": bootstrap_p(draws[1:])}
