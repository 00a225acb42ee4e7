"""Every way of ranking neurons, behind one interface: the association's own, and those that it is compared with.

The association's are functions of its facets (``association/score.py``), and its gates, where they were learned. A
module in this folder is one more: its name is the ranking's, ``NEEDS`` says what its ``rank`` takes, and larger entries
of what that gives name the neurons that it holds to carry a concept.
"""

from __future__ import annotations

import pkgutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from importlib import import_module
from typing import Any, Literal

from jaxtyping import Float
from torch import Tensor

from semprune.attribution.ablation.neuron_sets import combined_columns, combined_strength
from semprune.attribution.association.association import Association
from semprune.attribution.association.score import DEFAULT_COMBINATION, GATES, RANKINGS
from semprune.attribution.gradients.rankings import LabelledItems
from semprune.attribution.held_out.observations import Observations
from semprune.errors import ConfigurationError, SettingError

Needs = Literal["association", "documents", "words", "items"]
"""Nothing but the association; labelled documents; the same, but it ranks for concepts with words only; labelled items
of the target, whose right answers stand for it."""


@dataclass(frozen=True)
class Ranking:
    """One way of ranking neurons.

    Attributes:
        name: What users call it.
        needs: What it is made from.
        rank: From :class:`Observations`, for ``documents`` and ``words``, a matrix ``[neurons, concepts]``; from
            :class:`LabelledItems`, for ``items``, one number per neuron; None for the association's own.
    """

    name: str
    needs: Needs
    rank: Callable[[Any], Tensor] | None = None


@cache
def rankings() -> dict[str, Ranking]:
    """Every ranking by name: the association's, then the others, sorted.

    Example:
        >>> {name: ranking.needs for name, ranking in rankings().items() if name in ("score", "lape", "conductance")}
        {'score': 'association', 'conductance': 'items', 'lape': 'documents'}
    """
    own = [Ranking(name, "association") for name in (*RANKINGS, GATES)]
    modules = {m.name: import_module(f"{__name__}.{m.name}") for m in pkgutil.iter_modules(__path__)}
    found = [Ranking(name, module.NEEDS, module.rank) for name, module in sorted(modules.items())]
    return {ranking.name: ranking for ranking in (*own, *found)}


def find_ranking(name: str) -> Ranking:
    """The ranking of this name.

    Raises:
        SettingError: There is none.
    """
    if name not in rankings():
        raise SettingError("ranking", name, f"one of {', '.join(rankings())}")
    return rankings()[name]


def document_rankings() -> list[str]:
    """Names of the rankings that are made from documents: what :func:`rank_by` takes."""
    return [name for name, ranking in rankings().items() if ranking.needs in ("documents", "words")]


def rank_by(name: str, observations: Observations) -> Float[Tensor, "neurons concepts"]:
    """Ranking of all neurons for all concepts by one ranking that is made from documents.

    Args:
        name: One of :func:`document_rankings`.
        observations: The documents.

    Returns:
        Token-level concepts, then sequence-level ones; larger is more of a carrier.

    Raises:
        SettingError: There is no such ranking, or it is not made from documents.
    """
    if name not in document_rankings():
        raise SettingError("ranking", name, f"one of {', '.join(document_rankings())}")
    made = find_ranking(name).rank
    assert made is not None  # only the association's own have none
    return made(observations)


@dataclass(frozen=True)
class Target:
    """Something that neurons are ranked for, with what rankings may need; each is made when first asked for.

    Attributes:
        association: The fitted association.
        concepts: Its columns that stand for the target.
        words: Columns with words that stand for it, for rankings that know words only.
        documents: Makes the fitting documents' observations.
        items: Makes labelled items that no check scores.
        combine: What counts where there are concepts of words and of documents.
    """

    association: Association
    concepts: Sequence[str]
    words: Sequence[str]
    documents: Callable[[], Observations]
    items: Callable[[], LabelledItems]
    combine: str = DEFAULT_COMBINATION

    @cached_property
    def _observations(self) -> Observations:
        return self.documents()

    @cached_property
    def _items(self) -> LabelledItems:
        return self.items()

    def ranked(self, name: str) -> Float[Tensor, " neurons"]:
        """One ranking of all neurons for the target, fp32 on the CPU; larger is more important.

        A matrix's columns add up without their signs, as the association's do: a neuron counts for carrying a meaning
        and for suppressing it.

        Raises:
            SettingError: There is no such ranking.
            ConfigurationError: It knows words only, and the target has none.
        """
        ranking, association = find_ranking(name), self.association
        if ranking.rank is None:
            return combined_strength(association, self.concepts, name, self.combine)
        if ranking.needs == "items":
            return ranking.rank(self._items)
        concepts = self.words if ranking.needs == "words" else self.concepts
        if not concepts:
            raise ConfigurationError(f"ranking '{name}' is of words: name `words` of the target.")
        matrix = ranking.rank(self._observations).detach().float().cpu()
        return combined_columns(association, {c: matrix[:, association.column(c)] for c in concepts}, self.combine)
