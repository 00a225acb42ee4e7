"""Replaces chosen neurons by constants while the model runs: the causal side of the association."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from jaxtyping import Float, Int
from torch import Tensor, nn

from semprune.backbones.capture import site_hooks
from semprune.backbones.layout import family_of, kind_of_site, neuron_sites
from semprune.errors import CaptureError
from semprune.types import NeuronSite

Replacement = tuple[Int[Tensor, " neurons"], Float[Tensor, " neurons"]]


@contextmanager
def ablate(model: nn.Module, replacements: Mapping[str, Replacement]) -> Iterator[None]:
    """Hold chosen neurons at given values, for every token; the mean over a corpus makes it mean-ablation.

    The weights are not touched. Inside the context a later :func:`semprune.backbones.capture` sees the held values.

    Args:
        model: A causal language model of a known family.
        replacements: Site name -> (indices of neurons ``[k]``, their values ``[k]``, cast to the model's dtype).
            Sites without neurons may be left out or given empty tensors.

    Raises:
        UnknownArchitectureError: No family declares the model's class.
        RoutedNeuronsError: A site is the MLP of a mixture of experts.
        CaptureError: A site does not exist or never ran, an index is outside its width, or the two tensors of a site
            differ in length.
    """
    kinds = tuple(dict.fromkeys(kind_of_site(name) for name in replacements)) or ("mlp",)
    known = {site.name: site for site in neuron_sites(model, family_of(model), kinds)}
    for name, replacement in replacements.items():
        _check(known, name, replacement)
    held = {name: pair for name, pair in replacements.items() if pair[0].numel()}
    if not held:
        yield
        return

    def hold(site: NeuronSite, activations: Tensor) -> Tensor:
        neurons, values = (tensor.to(activations.device) for tensor in held[site.name])
        edited = activations.clone()
        edited[..., neurons] = values.to(activations.dtype)
        return edited

    with site_hooks(model, [known[name] for name in held], hold):
        yield


def _check(known: Mapping[str, NeuronSite], name: str, replacement: Replacement) -> None:
    if name not in known:
        raise CaptureError(f"there is no site {name!r}; sites are {', '.join(list(known)[:2])} …")
    neurons, values = replacement
    if neurons.shape != values.shape or neurons.ndim != 1:
        raise CaptureError(f"{name}: {tuple(neurons.shape)} neurons but {tuple(values.shape)} values")
    if neurons.numel() and not 0 <= int(neurons.min()) <= int(neurons.max()) < known[name].width:
        raise CaptureError(f"{name}: a neuron's index is outside 0 … {known[name].width - 1}")
