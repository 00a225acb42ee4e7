"""Gradients of an output with respect to neurons, through hooks at their sites; no parameter needs a gradient."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from semprune.attribution.fit.learner import LabelledBatch
from semprune.attribution.held_out.observations import Observations
from semprune.backbones import Backbone
from semprune.backbones.capture import site_hooks
from semprune.backbones.hardware import differentiable
from semprune.errors import NonFiniteError
from semprune.types import NeuronSite


def site_gradients(
    observations: Observations, labelled: LabelledBatch, concept: int, sites: Sequence[NeuronSite]
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

    with differentiable(observations.lm.device), site_hooks(observations.lm.model, sites, probe):
        output = _output(observations, labelled, concept)
        gradients = torch.autograd.grad(output, added)
    yield from zip(sites, values, (gradient.float() for gradient in gradients), strict=True)


def integrated_site_gradients(
    observations: Observations,
    labelled: LabelledBatch,
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
        labelled: The batch.
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

        with differentiable(observations.lm.device), site_hooks(observations.lm.model, [site], move):
            (gradient,) = torch.autograd.grad(_output(observations, labelled, concept), points)
        total = total + gradient.float() / steps
    return total * difference.float()


def _output(observations: Observations, labelled: LabelledBatch, concept: int) -> Tensor:
    batch = labelled.batch
    logits = observations.lm.model(
        input_ids=batch.input_ids, attention_mask=batch.attention_mask, use_cache=False
    ).logits
    return observations.objective(logits, labelled)[concept]


Pair = tuple[Float[Tensor, "documents tokens neurons"], Float[Tensor, "documents tokens neurons"]]


def activation_gradients(
    lm: Backbone, sites: Sequence[NeuronSite], objective: Callable[[], Float[Tensor, ""]]
) -> dict[str, Pair]:
    """Activation `h` and gradient `∂ℓ/∂h` at every site, for the whole batch.

    No weight gets a gradient, and none below the first site is asked for. The activations of all sites are in memory
    at once: keep batches small.

    Args:
        lm: The frozen backbone.
        sites: Whose activations, in the order of the computation.
        objective: Computes ℓ, a scalar; must run the model once.

    Returns:
        Site name -> (activations, gradients), detached, in the model's dtype.

    Raises:
        NonFiniteError: The objective is NaN or infinite.
        CaptureError: The objective did not run the model.
    """
    held: dict[str, Tensor] = {}

    def keep(site: NeuronSite, activations: Tensor) -> Tensor:
        # the frozen model builds no graph before the first site: its activations begin one
        held[site.name] = activations if activations.requires_grad else activations.detach().requires_grad_()
        return held[site.name]

    with differentiable(lm.device), site_hooks(lm.model, sites, keep):
        loss = objective()
        if not torch.isfinite(loss):
            raise NonFiniteError("the objective of a causal loss")
        gradients = torch.autograd.grad(loss, [held[site.name] for site in sites])
    return {site.name: (held[site.name].detach(), gradient) for site, gradient in zip(sites, gradients, strict=True)}
