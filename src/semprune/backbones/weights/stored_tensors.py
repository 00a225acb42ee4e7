"""A model folder's stored weights: which files hold them, and each tensor read by itself."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from semprune.errors import BackboneLoadError
from semprune.io.tensor_files import CODES

INDEX = "model.safetensors.index.json"
SINGLE = "model.safetensors"


def weight_files(folder: Path) -> list[Path]:
    """Return the safetensors files that a model folder's weights are in, in the order of their names.

    Raises:
        BackboneLoadError: There are none (pickled weights are never read), one is missing, or the index is damaged.
    """
    index = folder / INDEX
    try:
        stored = json.loads(index.read_text(encoding="utf-8"))["weight_map"].values() if index.is_file() else [SINGLE]
        names = sorted({str(Path(name)) for name in stored})
    except (ValueError, KeyError, AttributeError, TypeError) as error:
        detail = f"{INDEX} is damaged ({error!r})"
        raise BackboneLoadError(str(folder), detail, "Fetch the model again.") from error
    missing = [name for name in names if not (folder / name).is_file()]
    if missing:
        remedy = "Save the model with save_pretrained(..., safe_serialization=True); pickled weights are never read."
        raise BackboneLoadError(str(folder), f"there is no {', '.join(missing)}", remedy)
    return [folder / name for name in names]


DTYPES = {code: dtype for dtype, code in CODES.items()}
REMEDY = "Fetch the model again, or save it again with save_pretrained."


@dataclass(frozen=True, slots=True)
class StoredTensor:
    """What a file's header says of a tensor.

    Attributes:
        file: Where it is.
        shape: Its shape.
        dtype: Its number format.
    """

    file: Path
    shape: tuple[int, ...]
    dtype: torch.dtype

    @property
    def size_bytes(self) -> int:
        """Bytes on the disk."""
        return prod(self.shape) * self.dtype.itemsize


class Checkpoint:
    """The safetensors files of a model folder.

    Tensors are read by ``pread``, not through a memory map: mapped pages count as memory of this process.

    Attributes:
        folder: Where the files are.
        tensors: Every stored tensor by its name, in the order of the names.

    Args:
        folder: Holds safetensors weights.

    Raises:
        BackboneLoadError: The folder has no safetensors weights, one is missing, or one cannot be read.
    """

    def __init__(self, folder: Path) -> None:
        """Read the headers."""
        self.folder = folder
        found: dict[str, StoredTensor] = {}
        for path in weight_files(folder):
            with self._opened(path) as file:
                for name in file.keys():  # noqa: SIM118  # safe_open is no mapping
                    part = file.get_slice(name)
                    found[name] = StoredTensor(path, tuple(part.get_shape()), self._dtype(name, part.get_dtype()))
        self.tensors = {name: found[name] for name in sorted(found)}

    def read(self, names: Iterable[str]) -> dict[str, Tensor]:
        """Return tensors by name, as they are stored, on the CPU.

        Raises:
            BackboneLoadError: A file is damaged.
        """
        by_file: dict[Path, list[str]] = defaultdict(list)
        for name in names:
            by_file[self.tensors[name].file].append(name)
        read: dict[str, Tensor] = {}
        for path, inside in by_file.items():
            with self._opened(path) as file:
                read |= {name: file.get_tensor(name) for name in inside}
        return read

    @contextmanager
    def _opened(self, path: Path) -> Iterator[Any]:
        try:
            with safe_open(path, framework="pt", backend="pread") as file:
                yield file
        except (SafetensorError, OSError) as error:
            detail = f"its weights are damaged ({path.name}: {error})"
            raise BackboneLoadError(str(self.folder), detail, REMEDY) from error

    def _dtype(self, name: str, stored: str) -> torch.dtype:
        if stored not in DTYPES:
            detail = f"{name} has the number format {stored} (a quantised model?)"
            raise BackboneLoadError(str(self.folder), detail, "Use unquantised weights.")
        return DTYPES[stored]
