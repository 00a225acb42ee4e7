"""Integrated gradients at the neurons: what moving a neuron from its mean to its value does to the concept's tokens."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from semprune.attribution.gradients.site_gradients import integrated_site_gradients
from semprune.attribution.held_out.observations import Observations

NEEDS = "words"

STEPS = 8  # of the midpoint rule, along the straight path


def rank(observations: Observations) -> Float[Tensor, "neurons concepts"]:
    """Sum over tokens of the integrated gradients of the concept's objective, one site at a time.

    Source: Sundararajan et al. (arXiv 1703.01365), at neurons as in Dai et al. (arXiv 2104.08696); the baseline is each
    neuron's median, the same constant that standardisation subtracts. ``STEPS`` forwards and backwards per site and
    concept: for small models or few documents. Columns of sequence-level concepts are 0.
    """
    learner = observations.learner
    out = torch.zeros(learner.neurons, observations.concepts, device=observations.lm.device)
    for labelled in observations.labelled():
        for site in learner.sites:
            where = learner.standardiser.index.where(site)
            for concept in range(len(learner.shape.concepts)):
                attributed = integrated_site_gradients(
                    observations, labelled, concept, site, learner.standardiser.median[where], STEPS
                )
                out[where, concept] += (attributed * labelled.valid[..., None]).sum((0, 1))
    return out
