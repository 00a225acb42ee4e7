"""Gates at the neurons of a running model: 0 leaves a neuron as it is, 1 holds it at its mean."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from jaxtyping import Float, Int
from torch import Tensor

from semprune.attribution.association.neurons import NeuronIndex
from semprune.backbones import Backbone
from semprune.backbones.capture import site_hooks
from semprune.backbones.hardware import differentiable
from semprune.types import NeuronSite


@contextmanager
def gated(
    lm: Backbone,
    sites: Sequence[NeuronSite],
    gates: Float[Tensor, "owners neurons"],
    mean: Float[Tensor, " neurons"],
    owner: Int[Tensor, " rows"],
) -> Iterator[None]:
    r"""Run the model with every neuron moved towards its mean by its gate; gradients reach the gates alone.

    .. math:: \tilde h_{tj} = h_{tj} + g_j\,(\mu_j - h_{tj})

    Rows of a batch do not see each other, so that rows of different concepts share a forward exactly, each under its
    owner's gates. At gates of 0 and 1 it is :func:`semprune.backbones.ablate`, at every token.

    Source: equations.md S8.

    Args:
        lm: The frozen backbone; every forward inside of the context must have as many rows as ``owner``.
        sites: Whose neurons, in the order of the columns.
        gates: fp32, of each owner.
        mean: What a closed gate holds its neuron at.
        owner: Whose gates each row of the batch has.

    Raises:
        CaptureError: The model did not run, or passed by a site.
    """
    index = NeuronIndex(tuple(sites))
    held = mean.to(lm.device)

    def move(site: NeuronSite, activations: Tensor) -> Tensor:
        where = index.where(site)
        own = gates[:, where][owner][:, None].to(activations)  # [rows, 1, width]
        return torch.lerp(activations, held[where].to(activations), own)

    with differentiable(lm.device), site_hooks(lm.model, sites, move):
        yield
