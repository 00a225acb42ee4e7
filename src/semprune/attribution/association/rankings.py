"""How neurons are ranked for a concept, and how concepts' rankings add up: every ranking, and the default, once.

An association keeps its facets apart (effect, certainty, specificity); a ranking is one function of them. Which is the
default was decided by held-out causal effect per unit of perplexity: see ``benchmarks/attribution`` and
docs/results.md. To change the default for all users, change :data:`DEFAULT_RANKING`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from semprune.errors import SettingError


@dataclass(frozen=True, slots=True)
class Facets:
    """What an association knows of all neurons and one concept.

    Attributes:
        effect: Standard deviations of activation per standard deviation of the label.
        t: Document-clustered t of the effect.
        score: Effect × row specificity (equations.md S4).
        deviation: Standard deviation of the raw activation.
    """

    effect: Float[Tensor, " neurons"]
    t: Float[Tensor, " neurons"]
    score: Float[Tensor, " neurons"]
    deviation: Float[Tensor, " neurons"]


def strength(facets: Facets) -> Float[Tensor, " neurons"]:
    r"""Geometric mean of effect and certainty, `sign(A) √(|A| · |t|)`.

    Source: ours.

    Example:
        >>> one = torch.ones(2)
        >>> strength(Facets(torch.tensor([0.5, -0.5]), torch.tensor([8.0, -8.0]), one, one)).tolist()
        [2.0, -2.0]
    """
    return facets.effect.sign() * (facets.effect * facets.t).abs().sqrt()


RANKINGS: dict[str, Callable[[Facets], Tensor]] = {
    "strength": strength,
    "effect": lambda facets: facets.effect,
    "t": lambda facets: facets.t,
    "score": lambda facets: facets.score,
    "raw_effect": lambda facets: facets.effect * facets.deviation,
}
"""Every ranking by name: signed, larger is more of a carrier, negative suppresses. ``raw_effect`` is the effect in the
activation's own units, which is what mean-ablation takes away."""

DEFAULT_RANKING = "score"
"""What users see first, everywhere: chosen by held-out causal effect per unit of perplexity (docs/results.md)."""


def rank_neurons(facets: Facets, by: str = DEFAULT_RANKING) -> Float[Tensor, " neurons"]:
    """Rank neurons for one concept.

    Raises:
        SettingError: There is no such ranking.
    """
    if by not in RANKINGS:
        raise SettingError("ranking", by, f"one of {', '.join(RANKINGS)}")
    return RANKINGS[by](facets)


COMBINATIONS = ("documents", "sum", "ranks", "product")
DEFAULT_COMBINATION = "documents"
"""What counts where a target has evidence of words and of whole documents: chosen like the ranking."""


def combine_levels(
    levels: Mapping[str, Float[Tensor, " neurons"]], how: str = DEFAULT_COMBINATION
) -> Float[Tensor, " neurons"]:
    """One ranking from those of the token level and of the sequence level.

    Args:
        levels: Non-negative rankings of the same neurons by level, ``token`` or ``sequence``; one is given back as it
            is.
        how: ``documents``, the sequence level alone; ``sum``; ``ranks``, the mean share of neurons that a neuron
            outranks, which forgets the levels' scales; ``product``, the geometric mean, which asks for evidence at
            every level.

    Raises:
        SettingError: There is no such combination.

    Example:
        >>> levels = {"token": torch.tensor([0.0, 1.0, 4.0]), "sequence": torch.tensor([9.0, 9.0, 1.0])}
        >>> [combine_levels(levels, how).tolist() for how in COMBINATIONS]
        [[9.0, 9.0, 1.0], [9.0, 10.0, 5.0], [0.25, 0.5, 0.5], [0.0, 3.0, 2.0]]
    """
    if how not in COMBINATIONS:
        raise SettingError("combine", how, f"one of {', '.join(COMBINATIONS)}")
    if len(levels) == 1:
        return next(iter(levels.values()))
    if how == "documents":
        return levels["sequence"]
    stacked = torch.stack(list(levels.values()))  # [levels, neurons]
    if how == "sum":
        return stacked.sum(0)
    if how == "product":
        return stacked.double().log().mean(0).exp().to(stacked.dtype)
    return torch.stack([outranked_share(level) for level in stacked]).mean(0)


def outranked_share(ranking: Float[Tensor, " neurons"]) -> Float[Tensor, " neurons"]:
    """Share of the other neurons that each neuron strictly outranks; equal neurons share the lower place.

    Example:
        >>> outranked_share(torch.tensor([5.0, 1.0, 1.0])).tolist()
        [1.0, 0.0, 0.0]
    """
    below = torch.searchsorted(ranking.sort().values, ranking.contiguous())
    return below / max(len(ranking) - 1, 1)
