"""The first-order estimate of mean-ablation for the right choice of labelled items: attribution patching."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from semprune.attribution.gradients.rankings import LabelledItems

NEEDS = "items"


def rank(items: LabelledItems) -> Float[Tensor, " neurons"]:
    """See :func:`semprune.attribution.gradients.rankings.gradient_rankings`."""
    return items.by_gradient["mean_ablation_gradient"]
