"""Checkpoints of a fit: read as tensors and plain values only, never as pickled objects."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import torch

from semprune.errors import CorruptArtefactError

REMEDY = "Pass a checkpoint that `semprune fit` wrote; where a run was cut off, fit again."


def read_checkpoint(path: Path, remedy: str = REMEDY) -> dict[str, Any]:
    """Read a checkpoint on the CPU.

    Raises:
        CorruptArtefactError: There is no such file, it is damaged, or it is no checkpoint of Lightning's.
    """
    if not path.is_file():
        raise CorruptArtefactError(path, "there is no such file", remedy)
    try:
        checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    except (RuntimeError, EOFError, OSError, ValueError, pickle.UnpicklingError) as error:
        raise CorruptArtefactError(path, _first_line(error), remedy) from error
    if not isinstance(checkpoint, dict) or "state_dict" not in checkpoint:
        raise CorruptArtefactError(path, "it holds no state of a module", remedy)
    return checkpoint


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")
