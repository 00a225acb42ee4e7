"""Mean activation where the concept is there: what the paper's neuron-word matching looks at."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from semprune.attribution.held_out.observations import Observations, moments

NEEDS = "documents"


def rank(observations: Observations) -> Float[Tensor, "neurons concepts"]:
    """Mean raw activation over the concept's observations.

    Source: Ding et al. (arXiv 2503.01542), neuron-word matching by activation.
    """
    return torch.cat([level.mean_present.float() for level in moments(observations).values()], dim=1)
