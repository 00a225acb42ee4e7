"""Difference of means: how much higher the raw activation is where the concept is there."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from semprune.attribution.held_out.observations import Observations, moments

NEEDS = "documents"


def rank(observations: Observations) -> Float[Tensor, "neurons concepts"]:
    """Mean raw activation with the concept less the mean without it."""
    return torch.cat([level.difference.float() for level in moments(observations).values()], dim=1)
