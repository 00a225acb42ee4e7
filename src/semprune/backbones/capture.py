"""Shows or edits the neurons of chosen sites while a model runs; checks that every hook fired, and cleans up."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

from jaxtyping import Float
from torch import Tensor, nn

from semprune.errors import CaptureError
from semprune.types import NeuronSite

Edit = Callable[[NeuronSite, Tensor], Tensor | None]
"""Takes a site and its activations [batch, tokens, width]; gives new activations, or None to leave them."""


@contextmanager
def site_hooks(model: nn.Module, sites: Sequence[NeuronSite], edit: Edit) -> Iterator[None]:
    """Call ``edit`` with the activations of every site, once per site and forward.

    Args:
        model: A Hugging Face model; running it, its body, or single blocks all count.
        sites: Which activations; at least one.
        edit: What to do with them.

    Raises:
        CaptureError: A site is not in the model or has another width; a forward passed a site by, or ran it twice; or
            the context ended and a site never ran. An exception inside the context is never hidden by this one.
    """
    if not sites:
        raise CaptureError("no sites were given")
    run = _Run(tuple(sites), edit)
    with ExitStack() as stack:
        for site in sites:
            hook = _module_of(model, site).register_forward_pre_hook(run.hook_for(site))
            stack.callback(hook.remove)
        body = _body_of(model, sites[0])
        stack.callback(body.register_forward_pre_hook(run.start, with_kwargs=True).remove)
        stack.callback(body.register_forward_hook(run.end).remove)
        yield
    never = [site.name for site in sites if site.name not in run.ever]
    if never:
        raise CaptureError(f"nothing ran through {_some(never)}")


@dataclass
class _Run:
    """What happened since the context was entered, and since the current forward began."""

    sites: tuple[NeuronSite, ...]
    edit: Edit
    ever: set[str] = field(default_factory=set)
    now: set[str] | None = None  # None outside a forward of the body
    shape: tuple[int, int] | None = None  # (batch, tokens) of the current forward

    def start(self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        given = [*args[:1], kwargs.get("input_ids"), kwargs.get("inputs_embeds")]
        ids = next((value for value in given if isinstance(value, Tensor)), None)
        self.now, self.shape = set(), None if ids is None else (ids.shape[0], ids.shape[1])

    def end(self, module: nn.Module, args: tuple[Any, ...], output: object) -> None:
        missed = [site.name for site in self.sites if site.name not in (self.now or ())]
        self.now = self.shape = None
        if missed:
            raise CaptureError(f"a forward passed by {_some(missed)}")

    def hook_for(self, site: NeuronSite) -> Callable[[nn.Module, tuple[Any, ...]], tuple[Any, ...] | None]:
        def hook(module: nn.Module, args: tuple[Any, ...]) -> tuple[Any, ...] | None:
            if self.now is not None and site.name in self.now:
                raise CaptureError(f"{site.name} ran twice in one forward")
            self.ever.add(site.name)
            if self.now is not None:
                self.now.add(site.name)
            edited = self.edit(site, self._in_batch(site, args[0]))
            return None if edited is None else (edited.reshape(args[0].shape), *args[1:])

        return hook

    def _in_batch(self, site: NeuronSite, value: Tensor) -> Tensor:
        """Undo the flattening of batch and tokens that some families do before their MLP."""
        if value.shape[-1] != site.width:
            raise CaptureError(f"{site.name} has width {value.shape[-1]}, expected {site.width}")
        if value.ndim == 2 and self.shape is not None:
            return value.reshape(*self.shape, site.width)  # [batch·tokens, width] -> [batch, tokens, width]
        if value.ndim != 3:
            raise CaptureError(f"{site.name} has shape {tuple(value.shape)}, expected [batch, tokens, width]")
        return value


def _module_of(model: nn.Module, site: NeuronSite) -> nn.Module:
    try:
        return model.get_submodule(site.module)
    except AttributeError as error:
        raise CaptureError(f"{type(model).__name__} has no module {site.module}") from error


def _body_of(model: nn.Module, site: NeuronSite) -> nn.Module:
    """Return what runs the decoder blocks, with or without a head; some heads pass by the model's ``base_model``."""
    path = site.module.split(".")
    for end in range(1, len(path)):
        if isinstance(model.get_submodule(".".join(path[:end])), nn.ModuleList):
            return model.get_submodule(".".join(path[: end - 1]))
    body: nn.Module = getattr(model, "base_model", model)
    return body


def _some(names: list[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if names[3:] else "")


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
