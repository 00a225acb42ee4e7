"""The association score (equations.md S4) and what else ranks neurons for a concept; how rankings add up."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
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

GATES = "gates"
"""Ranking by causal gates, learned through the model, of an association that was fitted with them (equations.md S8)."""

DEFAULT_RANKING = "score"
"""What users see first, everywhere: chosen by held-out causal effect per unit of perplexity (docs/results.md)."""


def rank_neurons(facets: Facets, by: str = DEFAULT_RANKING) -> Float[Tensor, " neurons"]:
    """Rank neurons for one concept.

    Raises:
        SettingError: There is no such ranking.
    """
    if by not in RANKINGS:
        raise SettingError("ranking", by, f"one of {', '.join((*RANKINGS, GATES))}")
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


NEURON_CLASSES = ("unassociated", "specific", "shared", "global", "suppressor", "massive", "dead", "positional")


def row_specificity(effect: Float[Tensor, "neurons concepts"]) -> Float[Tensor, "neurons concepts"]:
    r"""Share of a neuron's squared effect that one concept holds, for positive effects.

    .. math:: \rho_{jc} = (A^+_{jc})^2 / \sum_{c'} A_{jc'}^2

    Source: equations.md S4.

    Example:
        >>> row_specificity(torch.tensor([[3.0, -4.0], [2.0, 0.0]])).double().round(decimals=4).tolist()
        [[0.36, 0.0], [1.0, 0.0]]
    """
    total = effect.square().sum(1, keepdim=True)
    return effect.clamp(min=0).square() / total.clamp(min=1e-12)


def association_score(effect: Float[Tensor, "neurons concepts"]) -> Float[Tensor, "neurons concepts"]:
    """`S = A⁺ · ρ`: large where the effect is positive and the neuron is the concept's own (equations.md S4)."""
    return effect.clamp(min=0) * row_specificity(effect)


def classify(
    effect: Float[Tensor, "neurons concepts"],
    any_concept: Float[Tensor, " neurons"],
    gated: Bool[Tensor, "neurons concepts"],
    dead: Bool[Tensor, " neurons"],
    massive: Bool[Tensor, " neurons"],
    any_found: Bool[Tensor, " neurons"] | None = None,
    positional: Bool[Tensor, " neurons"] | None = None,
) -> Int[Tensor, " neurons"]:
    """Label every neuron with an index into :data:`NEURON_CLASSES`.

    ``dead`` never moves; ``massive`` carries massive activations; ``global`` has discoveries, of single concepts or of
    any concept at all (``any_found``), and answers to any concept word more than to each single one; ``suppressor`` has
    only negative discoveries; ``specific`` has one concept with at least half of the squared effect (ρ ≥ ½); ``shared``
    has discoveries but no such concept. ``positional`` neurons, as given, answer to where a token stands more than to
    any concept.

    Source: equations.md S4; the bound ½ is ours: more than all other concepts together.
    """
    positive = (gated & (effect > 0)).any(1)
    specific = (gated & (row_specificity(effect) >= 0.5)).any(1)
    label = torch.zeros(len(effect), dtype=torch.long, device=effect.device)
    label[gated.any(1) & ~positive] = NEURON_CLASSES.index("suppressor")
    label[positive] = NEURON_CLASSES.index("shared")
    label[specific] = NEURON_CLASSES.index("specific")
    found = gated.any(1) if any_found is None else gated.any(1) | any_found
    label[found & (any_concept.abs() > effect.abs().amax(1))] = NEURON_CLASSES.index("global")
    if positional is not None:
        label[positional] = NEURON_CLASSES.index("positional")
    label[massive] = NEURON_CLASSES.index("massive")
    label[dead] = NEURON_CLASSES.index("dead")
    return label
