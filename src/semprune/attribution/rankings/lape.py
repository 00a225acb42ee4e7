"""Activation-probability entropy: neurons that are active for few concepts."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor

from semprune.attribution.held_out.observations import Observations, moments

NEEDS = "documents"


def concentration(probability: Float[Tensor, "neurons concepts"]) -> Float[Tensor, "neurons concepts"]:
    r"""Share of each concept in a neuron's activation probabilities, times how concentrated these are.

    .. math:: p'_{jc} \left(1 + \sum_{c'} p'_{jc'} \log p'_{jc'} / \log C\right),
              \quad p'_{jc} = p_{jc} / \sum_{c'} p_{jc'}

    Source: LAPE, Tang et al. (arXiv 2402.16438), who select neurons by entropy and then assign them by probability; the
    product of both, which ranks all neurons, is ours. With a single concept it is the probability itself.

    Example:
        >>> concentration(torch.tensor([[0.4, 0.0], [0.3, 0.3]])).tolist()
        [[1.0, 0.0], [0.0, 0.0]]
    """
    concepts = probability.shape[1]
    if concepts == 1:
        return probability
    share = probability / probability.sum(1, keepdim=True).clamp(min=1e-12)
    entropy: Tensor = torch.special.entr(share).sum(1, keepdim=True)
    return share * (1 - entropy / math.log(concepts))


def rank(observations: Observations) -> Float[Tensor, "neurons concepts"]:
    """Concentrated activation probability; active is above 0. Levels are apart: their probabilities have no sum."""
    counted = moments(observations, transform=lambda values: (values > 0).float())
    return torch.cat([concentration(level.mean_present.float()) for level in counted.values()], dim=1)
