"""What is evaluated: a backbone, or any Hugging Face model in memory with its tokenizer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from semprune.errors import ConfigurationError
from semprune.evaluation.engine.causal_lm import context_length


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
