"""Gradient × activation: the first-order effect of a neuron on how probable the concept's tokens are."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from semprune.attribution.gradients.site_gradients import site_gradients
from semprune.attribution.held_out.observations import Observations

NEEDS = "words"


def rank(observations: Observations) -> Float[Tensor, "neurons concepts"]:
    """Sum over tokens of activation × gradient of the concept's objective.

    Source: Shrikumar et al. (arXiv 1605.01713). Columns of sequence-level concepts are 0: without a prompt no output
    stands for a class.
    """
    learner = observations.learner
    out = torch.zeros(learner.neurons, observations.concepts, device=observations.lm.device)
    for labelled in observations.labelled():
        for concept in range(len(learner.shape.concepts)):
            for site, activations, gradient in site_gradients(observations, labelled, concept, learner.sites):
                product = (activations * gradient * labelled.valid[..., None]).sum((0, 1))
                out[learner.standardiser.index.where(site), concept] += product
    return out
