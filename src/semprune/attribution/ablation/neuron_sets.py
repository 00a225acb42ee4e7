"""Sets of neurons to ablate: the association's own, and the controls they are held against (equations.md S7)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor

from semprune.attribution.association.association import Association
from semprune.attribution.association.neurons import NeuronIndex
from semprune.attribution.association.score import DEFAULT_COMBINATION, DEFAULT_RANKING, GATES, combine_levels
from semprune.backbones import Replacement
from semprune.data import dataset_spec
from semprune.errors import ConfigurationError, TooFewDiscoveriesError
from semprune.types import NeuronSite

NEIGHBOURS = 8  # candidates on either side in the order of activation norms


def combined_strength(
    association: Association, concepts: Sequence[str], by: str = DEFAULT_RANKING, combine: str = DEFAULT_COMBINATION
) -> Float[Tensor, " neurons"]:
    """Evidence of several concepts for one target: a neuron counts for carrying a meaning and for suppressing it.

    The |ranking| of the concepts of one level add up; see
    :func:`semprune.attribution.association.score.combine_levels` for what counts where there are concepts of words
    and of documents.

    By ``gates`` those concepts count whose gates were learned; of none of them it is an error.

    Source: ours.
    """
    if by == GATES:
        concepts = [name for name in concepts if name in association.gated_concepts] or concepts
    return combined_columns(association, {name: association.ranking(name, by) for name in concepts}, combine)


def combined_columns(
    association: Association, columns: Mapping[str, Float[Tensor, " neurons"]], combine: str = DEFAULT_COMBINATION
) -> Float[Tensor, " neurons"]:
    """One ranking from those of several concepts: magnitudes add up within a level, then the levels combine."""
    levels: dict[str, list[Tensor]] = {}
    for name, ranking in columns.items():
        levels.setdefault(association.levels[association.column(name)], []).append(ranking.abs())
    return combine_levels({level: torch.stack(own).sum(0) for level, own in levels.items()}, combine)


def family_classes(association: Association, family: str) -> list[str]:
    """Columns that are classes of a task family's data sets.

    Raises:
        UnknownDatasetError: A class is of a data set that is not registered.
    """
    return [
        name
        for name, level in zip(association.concepts, association.levels, strict=True)
        if level == "sequence" and dataset_spec(name.rpartition(".")[0]).family == family
    ]


def top_neurons(
    association: Association,
    concepts: Sequence[str],
    k: int,
    by: str = DEFAULT_RANKING,
    combine: str = DEFAULT_COMBINATION,
) -> Int[Tensor, " k"]:
    """Rows of the ``k`` strongest neurons.

    Raises:
        TooFewDiscoveriesError: Fewer than ``k`` neurons are discoveries for these concepts.
    """
    strength = combined_strength(association, concepts, by, combine)
    found = int((strength > 0).sum())
    if found < k:
        raise TooFewDiscoveriesError(found, k, concepts)
    return strength.topk(k).indices


def require_named(name: str, ranking: Float[Tensor, " neurons"], k: int) -> None:
    """Refuse a ranking that tells fewer than ``k`` neurons from all others: the rest would be the first that come.

    Raises:
        ConfigurationError: So few are not 0.
    """
    found = int((ranking != 0).sum())
    if found < k:
        raise ConfigurationError(
            f"ranking '{name}' names only {found} neurons, {k} were asked for. Take a smaller share, or leave it out."
        )


def random_neurons(association: Association, k: int, generator: torch.Generator) -> Int[Tensor, " k"]:
    """``k`` neurons drawn without replacement from all."""
    return torch.randperm(len(association.rms), generator=generator)[:k]


def matched_random(
    association: Association, chosen: Int[Tensor, " k"], generator: torch.Generator
) -> Int[Tensor, " k"]:
    """For every chosen neuron another one of the same kind and layer with an activation RMS next to its own.

    Without replacement, and never one of the chosen; the window widens where its neighbours are taken.
    """
    taken = set(chosen.tolist())
    widths = torch.tensor([site.width for site in association.sites])
    site, drawn = torch.repeat_interleave(torch.arange(len(widths)), widths), []
    for index in sorted(set(site[chosen].tolist())):
        rows = (site == index).nonzero()[:, 0]
        ordered = rows[association.rms[rows].argsort()].tolist()
        place = {row: rank for rank, row in enumerate(ordered)}
        for row in (row for row in chosen.tolist() if row in place):
            pick = _near(ordered, place[row], taken, generator)
            taken.add(pick)
            drawn.append(pick)
    return torch.tensor(drawn)


def _near(ordered: list[int], place: int, taken: set[int], generator: torch.Generator) -> int:
    window = NEIGHBOURS
    while True:
        free = [row for row in ordered[max(0, place - window) : place + window + 1] if row not in taken]
        if free:
            return free[int(torch.randint(len(free), (1,), generator=generator))]
        if window > len(ordered):
            raise ConfigurationError("a layer has no neuron of a kind left to match: ablate a smaller share.")
        window *= 2


def largest_mean_activation(association: Association, k: int) -> Int[Tensor, " k"]:
    """The ``k`` neurons of largest mean |activation|: what the paper's style of attribution would name."""
    return association.mean.abs().topk(k).indices


def mean_replacements(association: Association, chosen: Int[Tensor, " k"]) -> dict[str, Replacement]:
    """Replacements for :func:`semprune.backbones.ablate` that hold neurons at their mean (not at zero)."""
    return replacements(association.sites, association.mean, chosen)


def replacements(
    sites: tuple[NeuronSite, ...], mean: Float[Tensor, " neurons"], chosen: Int[Tensor, " k"]
) -> dict[str, Replacement]:
    """The same of neurons whose association is not at hand."""
    out, index = {}, NeuronIndex(sites)
    for site in sites:
        own = index.within(chosen, site)
        if len(own):
            out[site.name] = (own, mean[index.where(site)][own])
    return out


def global_neurons(association: Association, k: int) -> Int[Tensor, " k"]:
    """The ``k`` neurons that answer most to any concept word at all, whichever concept it is."""
    return association.any_concept.abs().topk(k).indices


Draw = Callable[[torch.Generator], Tensor]
ASSOCIATION = "association"
"""Name of the association's own set."""
MATCHED = "matched_random"
OWN_SETS = (ASSOCIATION, MATCHED, "random", "mean_activation", "global")
"""Sets that every causal check has; no further ranking may be called so."""
DRAWN_SETS = (MATCHED, "random")
"""Those of them that are drawn anew: what they say varies with the draw."""


def selections(
    association: Association,
    chosen: Int[Tensor, " k"],
    draws: int,
    rankings: Mapping[str, Float[Tensor, " neurons"]] | None = None,
) -> dict[str, tuple[Draw, int]]:
    """Every set of the causal check: how to draw it, and how often.

    Args:
        association: Names the neurons, their layers and norms.
        chosen: The association's own neurons; every other set has as many.
        draws: Of each random set.
        rankings: Further rankings by name; the top of each is a set.
    """
    k = len(chosen)
    by_ranking: dict[str, tuple[Draw, int]] = {
        name: (lambda _, ranking=ranking: ranking.topk(k).indices, 1)  # type: ignore[misc]  # bound per name
        for name, ranking in (rankings or {}).items()
    }
    own: tuple[tuple[Draw, int], ...] = (
        (lambda _: chosen, 1),
        (lambda generator: matched_random(association, chosen, generator), draws),
        (lambda generator: random_neurons(association, k, generator), draws),
        (lambda _: largest_mean_activation(association, k), 1),
        (lambda _: global_neurons(association, k), 1),
    )
    return by_ranking | dict(zip(OWN_SETS, own, strict=True))
