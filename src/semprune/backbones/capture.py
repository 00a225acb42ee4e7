"""Shows the neurons' activations to a consumer while the model runs; nothing is kept and nothing is changed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from jaxtyping import Float
from torch import Tensor, nn

from semprune.backbones.hooks import site_hooks
from semprune.types import NeuronSite

Consume = Callable[[NeuronSite, Float[Tensor, "batch tokens width"]], None]


@contextmanager
def capture(model: nn.Module, sites: Sequence[NeuronSite], consume: Consume) -> Iterator[None]:
    """Call ``consume(site, activations)`` once per site and forward, as the activations are made.

    Args:
        model: The model that will run inside the context; its logits stay bit-equal.
        sites: Whose activations; ``Backbone.sites`` or some of them.
        consume: Takes a site and its activations ``[batch, tokens, width]`` in the model's dtype, detached. The tensor
            is the model's own: copy what you keep, change nothing.

    Raises:
        CaptureError: A site is not in the model, did not run in a forward, or never ran.

    Example:
        >>> import torch
        >>> from transformers import LlamaConfig, LlamaForCausalLM
        >>> from semprune.backbones.layout import family_of, neuron_sites
        >>> size = {"hidden_size": 8, "num_attention_heads": 2, "num_key_value_heads": 1, "vocab_size": 11}
        >>> model = LlamaForCausalLM(LlamaConfig(**size, intermediate_size=12, num_hidden_layers=2))
        >>> sites = neuron_sites(model, family_of(model))
        >>> with capture(model, sites, lambda site, activations: print(site.name, tuple(activations.shape))):
        ...     logits = model(torch.tensor([[1, 2, 3]])).logits
        layers.0.mlp (1, 3, 12)
        layers.1.mlp (1, 3, 12)
    """

    def show(site: NeuronSite, activations: Tensor) -> None:
        consume(site, activations.detach())

    with site_hooks(model, sites, show):
        yield
