"""Standardised difference of means (Cohen's d): the scale of a neuron no longer counts."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from semprune.attribution.held_out.observations import Observations, moments

NEEDS = "documents"


def rank(observations: Observations) -> Float[Tensor, "neurons concepts"]:
    """Difference of means in the neuron's own standard deviations; 0 for neurons that never move."""
    each = [level.difference / level.deviation.clamp(min=1e-12) for level in moments(observations).values()]
    return torch.cat(each, dim=1).float()
