"""A model with its tokenizer and how much it reads: a backbone, or any Hugging Face causal LM in memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from semprune.errors import ConfigurationError


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
    """Return a model with what belongs to it.

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
            f"{type(model).__name__} is no backbone, so its tokenizer is not known. Pass `tokenizer`."
        )
    name = getattr(model.config, "name_or_path", "") or type(model).__name__
    return _InMemory(name, model, tokenizer, context_length(model, tokenizer))


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
