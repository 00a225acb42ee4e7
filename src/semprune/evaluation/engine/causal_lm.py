"""What is evaluated: a backbone, or any Hugging Face causal LM with its tokenizer; left as it was."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol, cast

import torch
from torch import nn

from semprune.errors import ConfigurationError


class CausalLM(Protocol):
    """What is asked of a model: Hugging Face's own interface, without importing it."""

    def __call__(self, **inputs: Any) -> Any:
        """Run the forward; the result has ``logits``."""

    def get_input_embeddings(self) -> Any:
        """Return the embedding, whose device is where inputs go."""

    def get_output_embeddings(self) -> Any:
        """Return the language-model head."""


@contextmanager
def evaluating(model: CausalLM) -> Iterator[None]:
    """Eval mode and no gradients, for the block; each submodule's own mode is restored, also on exceptions.

    Args:
        model: Any model. A dropout that was left in train mode would make scores random.
    """
    training = [module for module in cast(nn.Module, model).modules() if module.training]
    for module in training:
        module.training = False
    try:
        with torch.inference_mode():
            yield
    finally:
        for module in training:
            module.training = True


def input_device(model: CausalLM) -> torch.device:
    """Return the device on which the model expects its input ids."""
    device: torch.device = model.get_input_embeddings().weight.device
    return device


def context_length(model: Any, tokenizer: Any) -> int:
    """Tokens that a model can read, where nobody said: its configuration, else its tokenizer, else 2048.

    Args:
        model: A Hugging Face model.
        tokenizer: Its tokenizer; its "no limit" (a huge number) is not taken for one.

    Returns:
        The context length. 2048 for models without any (BLOOM) is the harness's default.
    """
    config = model.config.get_text_config()
    for name in ("max_position_embeddings", "n_positions", "n_ctx", "max_seq_len", "seq_length"):
        length = getattr(config, name, None)
        if isinstance(length, int) and length > 0:
            return length
    length = getattr(tokenizer, "model_max_length", None)
    return length if isinstance(length, int) and length < 10**9 else 2048


class Subject(Protocol):
    """A model with what belongs to it; every :class:`semprune.backbones.Backbone` is one."""

    @property
    def name(self) -> str:
        """What it is called in results."""

    @property
    def model(self) -> Any:
        """The Hugging Face model."""

    @property
    def tokenizer(self) -> Any:
        """Its tokenizer."""

    @property
    def max_length(self) -> int:
        """Tokens that it can read."""


@dataclass(frozen=True, slots=True)
class _InMemory:
    name: str
    model: Any
    tokenizer: Any
    max_length: int


def subject_of(model: Any, tokenizer: Any = None) -> Subject:
    """Return what is evaluated.

    Args:
        model: A backbone, or any Hugging Face causal LM, which is left as it is.
        tokenizer: The model's tokenizer; None takes a backbone's own.

    Returns:
        A backbone as it is; another model by the name that it was loaded by, else its class.

    Raises:
        ConfigurationError: If a bare model comes without a tokenizer, or a backbone with another.
    """
    own = getattr(model, "tokenizer", None)
    if own is not None:
        if tokenizer is not None and tokenizer is not own:
            raise ConfigurationError(f"backbone '{model.name}' has a tokenizer of its own. Leave `tokenizer` out.")
        subject: Subject = model
        return subject
    if tokenizer is None:
        raise ConfigurationError(
            f"{type(model).__name__} is no backbone, so its tokenizer is not known. Pass evaluate(…, tokenizer=…)."
        )
    name = getattr(model.config, "name_or_path", "") or type(model).__name__
    return _InMemory(name, model, tokenizer, context_length(model, tokenizer))
