"""A model folder's stored weights: which file holds each tensor, decided here for every reader."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from math import prod
from pathlib import Path, PurePosixPath
from typing import Any

import torch
from torch import Tensor

from semprune.errors import BackboneLoadError
from semprune.errors.base import some_of
from semprune.io.tensor_files import CODES, opened_safetensors

INDEX = "model.safetensors.index.json"
SINGLE = "model.safetensors"
ADAPTER = "adapter_config.json"


def weight_files(folder: Path) -> list[Path]:
    """Return the safetensors files that a model folder's weights are in, in the order of their names.

    ``model.safetensors`` where it is there, as transformers reads it, also beside an index; else what the index names.

    Raises:
        BackboneLoadError: There are none (pickled weights are never read), one is missing, the index is damaged, or an
            adapter lies beside them, which transformers would add to them.
    """
    if (folder / ADAPTER).is_file():
        remedy = "Merge the adapter (`merge_and_unload`) and save the whole model, or move the adapter elsewhere."
        raise BackboneLoadError(str(folder), f"an adapter lies beside its weights ({ADAPTER})", remedy)
    names = listed_files(folder) or [SINGLE]
    missing = [name for name in names if not (folder / name).is_file()]
    if missing:
        remedy = "Save the model with save_pretrained(..., safe_serialization=True); pickled weights are never read."
        raise BackboneLoadError(str(folder), f"there is no {', '.join(missing)}", remedy)
    return [folder / name for name in names]


def listed_files(folder: Path) -> list[str]:
    """Return the names of the files that a folder's index lists; none where ``model.safetensors`` holds all.

    Raises:
        BackboneLoadError: The index is damaged.
    """
    return sorted(set(_assigned(folder).values()))


def _assigned(folder: Path) -> dict[str, str]:
    """Return the file of each tensor by the index; nothing where one file holds all."""
    index = folder / INDEX
    if (folder / SINGLE).is_file() or not index.is_file():
        return {}
    try:
        stored: Mapping[str, str] = json.loads(index.read_text(encoding="utf-8"))["weight_map"]
        assigned = {str(tensor): str(PurePosixPath(file)) for tensor, file in stored.items()}
    except (ValueError, KeyError, AttributeError, TypeError, RecursionError) as error:  # the last: nested too deeply
        raise _damaged_index(folder, repr(error)) from error
    outside = [file for file in assigned.values() if PurePosixPath(file).is_absolute() or ".." in Path(file).parts]
    if outside or not assigned:
        raise _damaged_index(folder, f"it names {outside[0]}" if outside else "it names no tensor")
    return assigned


def _damaged_index(folder: Path, detail: str) -> BackboneLoadError:
    return BackboneLoadError(str(folder), f"{INDEX} is damaged ({detail})", "Fetch the model again.")


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

    Where an index assigns a tensor to a file, that file's is the tensor, whatever other files hold under its name.
    Tensors that the index does not list count too: transformers reads every tensor of the files.

    Attributes:
        folder: Where the files are.
        tensors: Every stored tensor by its name, in the order of the names.
        copied: Names of which another file holds a copy, which is not read.

    Args:
        folder: Holds safetensors weights.

    Raises:
        BackboneLoadError: The folder has no safetensors weights, one is missing, one cannot be read, a file lacks what
            the index assigns to it, or two files hold a tensor that the index does not list.
    """

    def __init__(self, folder: Path) -> None:
        """Read the headers."""
        self.folder = folder
        found: dict[str, dict[str, StoredTensor]] = defaultdict(dict)
        for path in weight_files(folder):
            for name, stored in self._header(path):
                found[name][path.relative_to(folder).as_posix()] = stored
        assigned = _assigned(folder)
        lacking = [name for name, file in assigned.items() if file not in found.get(name, {})]
        if lacking:
            raise BackboneLoadError(str(folder), f"the weights lack {some_of(lacking)}, which {INDEX} lists", REMEDY)
        unlisted = [name for name, copies in found.items() if len(copies) > 1 and name not in assigned]
        if unlisted:
            detail = f"several files hold {some_of(unlisted)}, and {INDEX} does not say which counts"
            raise BackboneLoadError(str(folder), detail, REMEDY)
        self.tensors = {name: found[name][assigned.get(name, next(iter(found[name])))] for name in sorted(found)}
        self.copied = [name for name in self.tensors if len(found[name]) > 1]

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
            with opened_weights(path) as file:
                read |= {name: file.get_tensor(name) for name in inside}
        return read

    def remarks(self) -> list[str]:
        """Return what a user should know of files and tensors in the folder that are not read."""
        found = []
        if (self.folder / SINGLE).is_file() and (self.folder / INDEX).is_file():
            found.append(f"{self.folder}: {SINGLE} is read, as transformers does, and not what {INDEX} lists")
        if self.copied:
            found.append(f"{self.folder}: files that {INDEX} does not name for them also hold {some_of(self.copied)}")
        return found

    def _header(self, path: Path) -> Iterator[tuple[str, StoredTensor]]:
        with opened_weights(path) as file:
            for name in file.keys():  # noqa: SIM118  # safe_open is no mapping
                part = file.get_slice(name)
                yield name, StoredTensor(path, tuple(part.get_shape()), self._dtype(name, part.get_dtype()))

    def _dtype(self, name: str, stored: str) -> torch.dtype:
        if stored not in DTYPES:
            detail = f"{name} has the number format {stored} (a quantised model?)"
            raise BackboneLoadError(str(self.folder), detail, "Use unquantised weights.")
        return DTYPES[stored]


def opened_weights(path: Path) -> AbstractContextManager[Any]:
    """Open a file of a model's weights, whose tensors are read one by one.

    Raises:
        BackboneLoadError: Inside of the block: it is gone or damaged.
    """

    def refused(error: Exception) -> BackboneLoadError:
        return BackboneLoadError(str(path.parent), f"its weights are damaged ({path.name}: {error})", REMEDY)

    return opened_safetensors(path, refused)
