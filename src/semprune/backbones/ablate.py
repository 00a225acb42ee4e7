"""Replaces chosen neurons by given values while the model runs: the causal side of the association."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from semprune.backbones.capture import site_hooks
from semprune.backbones.layout import family_of, kind_of_site, neuron_sites
from semprune.errors import CaptureError
from semprune.types import NeuronSite

Replacement = tuple[Int[Tensor, " neurons"], Float[Tensor, " neurons"]]
Patch = tuple[Int[Tensor, " neurons"], Float[Tensor, "*batch neurons"]]


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
    for name, (neurons, values) in replacements.items():
        if neurons.shape != values.shape:
            raise CaptureError(f"{name}: {tuple(neurons.shape)} neurons but {tuple(values.shape)} values")
    with patch(model, replacements):
        yield


@contextmanager
def patch(
    model: nn.Module, replacements: Mapping[str, Patch], where: Bool[Tensor, "batch tokens"] | None = None
) -> Iterator[None]:
    """Give chosen neurons the values of another forward of the same batch, where they are wanted.

    Args:
        model: A causal language model of a known family; inside of the context it reads the batch that the values are
            of.
        replacements: Site name -> (indices of neurons ``[k]``, their values ``[batch, tokens, k]``, cast to the model's
            dtype). Sites without neurons may be left out or given empty tensors.
        where: Positions that are patched; None for all.

    Raises:
        UnknownArchitectureError, RoutedNeuronsError, CaptureError: See :func:`ablate`; CaptureError also where values
            or positions are of another batch than the one that is read.
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
        own = [values.shape[:-1]] if values.ndim > 1 else []
        if where is not None:
            own.append(where.shape)
        wrong = next((tuple(shape) for shape in own if shape != activations.shape[:2]), None)
        if wrong is not None:
            raise CaptureError(f"{site.name}: values of a batch {wrong} in one of {tuple(activations.shape[:2])}")
        edited = activations.clone()
        values = values.to(activations.dtype)
        if where is not None:
            values = torch.where(where.to(activations.device)[..., None], values, activations[..., neurons])
        edited[..., neurons] = values
        return edited

    with site_hooks(model, [known[name] for name in held], hold):
        yield


def _check(known: Mapping[str, NeuronSite], name: str, replacement: Patch) -> None:
    if name not in known:
        raise CaptureError(f"there is no site {name!r}; sites are {', '.join(list(known)[:2])} …")
    neurons, values = replacement
    if neurons.ndim != 1 or values.shape[-1:] != neurons.shape:
        raise CaptureError(f"{name}: {tuple(neurons.shape)} neurons but {tuple(values.shape)} values")
    if neurons.numel() and not 0 <= int(neurons.min()) <= int(neurons.max()) < known[name].width:
        raise CaptureError(f"{name}: a neuron's index is outside 0 … {known[name].width - 1}")
