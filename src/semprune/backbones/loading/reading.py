"""What libraries raise on a model's files becomes an error that names the model."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from semprune.errors import BackboneLoadError, SempruneError
from semprune.errors.base import what_it_says


@contextmanager
def reading(name: str, remedy: str) -> Iterator[None]:
    """Turn what libraries raise on a model's files into an error that names the model.

    Raises:
        BackboneLoadError: Something was raised, other than an error of ours or for want of memory.
    """
    try:
        yield
    except (SempruneError, MemoryError, torch.OutOfMemoryError):
        raise
    except Exception as error:  # a field of a wrong type ends in any built-in error, and tokenizers has but `Exception`
        raise BackboneLoadError(name, what_it_says(error), remedy) from error
