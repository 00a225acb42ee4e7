"""Tensor files: safetensors, written atomically."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from safetensors.torch import save_file
from torch import Tensor

from semprune.files import atomic


def write_safetensors(path: Path, tensors: Mapping[str, Tensor], header: Mapping[str, str]) -> None:
    """Write tensors with a header of strings."""
    with atomic(path) as temporary:
        save_file({name: tensor.detach().cpu() for name, tensor in tensors.items()}, temporary, dict(header))
