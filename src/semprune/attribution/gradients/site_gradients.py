"""Gradients of an output with respect to neurons, through hooks at their sites; no parameter needs a gradient."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from semprune.attribution.fit.learner import Observed
from semprune.attribution.held_out.observations import Observations
from semprune.backbones.hooks import site_hooks
from semprune.types import NeuronSite


def site_gradients(
    observations: Observations, seen: Observed, concept: int, sites: Sequence[NeuronSite]
) -> Iterator[tuple[NeuronSite, Tensor, Tensor]]:
    """Activations and gradients `[documents, tokens, neurons]` of each site: one forward, one backward.

    A zero is added at every site, and differentiated: what a site's neurons do through later sites counts for both.
    """
    values: list[Tensor] = []
    added: list[Tensor] = []

    def probe(site: NeuronSite, activations: Tensor) -> Tensor:
        zero = torch.zeros_like(activations, requires_grad=True)
        values.append(activations.detach().float())
        added.append(zero)
        return activations + zero

    with torch.enable_grad(), site_hooks(observations.lm.model, sites, probe):
        output = _output(observations, seen, concept)
        gradients = torch.autograd.grad(output, added)
    yield from zip(sites, values, (gradient.float() for gradient in gradients), strict=True)


def integrated_site_gradients(
    observations: Observations,
    seen: Observed,
    concept: int,
    site: NeuronSite,
    reference: Float[Tensor, " neurons"],
    steps: int,
) -> Float[Tensor, "documents tokens neurons"]:
    r"""Integrated gradients of one site along the straight path from a reference.

    .. math:: (h - r) \int_0^1 \nabla f\big(r + a (h - r)\big)\, da

    by the midpoint rule. Summed over tokens and neurons it is `f(h) − f(r)` (completeness), up to the rule's error.

    Args:
        observations: Model and objective.
        seen: The batch.
        concept: Which token-level concept's objective.
        site: Whose neurons.
        reference: Value of each neuron where the path starts, at every token.
        steps: Points of the midpoint rule.
    """
    total = torch.zeros(())
    difference = torch.zeros(())
    for step in range(steps):
        place = (step + 0.5) / steps
        points: list[Tensor] = []

        def move(_: NeuronSite, activations: Tensor, place: float = place, points: list[Tensor] = points) -> Tensor:
            nonlocal difference
            start = reference.to(activations)
            difference = activations.detach() - start
            point = (start + place * difference).requires_grad_()
            points.append(point)
            return point

        with torch.enable_grad(), site_hooks(observations.lm.model, [site], move):
            (gradient,) = torch.autograd.grad(_output(observations, seen, concept), points)
        total = total + gradient.float() / steps
    return total * difference.float()


def _output(observations: Observations, seen: Observed, concept: int) -> Tensor:
    batch = seen.batch
    logits = observations.lm.model(
        input_ids=batch.input_ids, attention_mask=batch.attention_mask, use_cache=False
    ).logits
    return observations.objective(logits, seen)[concept]
