"""Activations of neurons together with the gradient of an objective in them, from one forward and one backward."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from semprune.backbones import Backbone
from semprune.backbones.hooks import site_hooks
from semprune.errors import NonFiniteError
from semprune.types import NeuronSite

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

    with torch.inference_mode(False), torch.enable_grad(), site_hooks(lm.model, sites, keep):
        loss = objective()
        if not torch.isfinite(loss):
            raise NonFiniteError("the objective of a causal loss")
        gradients = torch.autograd.grad(loss, [held[site.name] for site in sites])
    return {site.name: (held[site.name].detach(), gradient) for site, gradient in zip(sites, gradients, strict=True)}
