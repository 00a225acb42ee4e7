"""What is asked of a model that is evaluated; it is left as it was."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol, cast

import torch
from torch import nn

from semprune.errors import UnknownTokenError


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


def check_tokens(model: CausalLM, ids: Iterable[int]) -> None:
    """Refuse token ids that a model has no embedding for; a GPU would not say which.

    Raises:
        UnknownTokenError: There is one.
    """
    vocabulary: int = model.get_input_embeddings().weight.shape[0]
    for token in ids:
        if not 0 <= token < vocabulary:
            raise UnknownTokenError(token, vocabulary)


def input_device(model: CausalLM) -> torch.device:
    """Return the device on which the model expects its input ids."""
    device: torch.device = model.get_input_embeddings().weight.device
    return device
