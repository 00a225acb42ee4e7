"""Conductance: integrated gradients of the right choice, read off at the neurons."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from semprune.attribution.gradients.rankings import LabelledItems, conductance_ranking

NEEDS = "items"


def rank(items: LabelledItems) -> Float[Tensor, " neurons"]:
    """See :func:`semprune.attribution.gradients.rankings.conductance_ranking`."""
    return conductance_ranking(items.lm, items.association, items.items)
