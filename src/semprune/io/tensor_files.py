"""Tensor files: safetensors, written atomically, at once or tensor by tensor."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from math import prod
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from semprune.io.files import atomic
from semprune.io.seals import ALTERED, check_seal, seal

CODES = {
    torch.float64: "F64",
    torch.float32: "F32",
    torch.float16: "F16",
    torch.bfloat16: "BF16",
    torch.int64: "I64",
    torch.int32: "I32",
    torch.int16: "I16",
    torch.int8: "I8",
    torch.uint8: "U8",
    torch.bool: "BOOL",
}
"""Number formats by their names in a safetensors header."""


def write_safetensors(path: Path, tensors: Mapping[str, Tensor], header: Mapping[str, str]) -> None:
    """Write tensors with a header of strings.

    Not by the library's ``save_file``: it puts a file of its own in the place, which others may not read.
    """
    layout = {name: (tensor.dtype, tuple(tensor.shape)) for name, tensor in tensors.items()}
    stream_safetensors(path, layout, ((name, tensors[name]) for name in storage_order(layout)), header)


SEALED = "semprune.sealed.1"
"""The header's entry of sealed files that have no name of their own for it."""
TENSORS = "tensors"
"""The entry of a sealed header that holds the hash of the tensors."""


def write_sealed(
    path: Path, tensors: Mapping[str, Tensor], header: Mapping[str, Any] | None = None, *, kind: str = SEALED
) -> None:
    """Write tensors with a header of plain values and a hash of both, which :func:`read_sealed` compares.

    Args:
        path: The file.
        tensors: The tensors.
        header: Plain values to store with them.
        kind: Entry of the file's metadata that holds the header.
    """
    sealed = seal({**(header or {}), TENSORS: hash_tensors(tensors)})
    # one entry: safetensors writes several in an order that differs from process to process
    write_safetensors(path, tensors, {kind: json.dumps(sealed, sort_keys=True)})


def read_sealed(path: Path, *, kind: str = SEALED) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Read header and tensors of a file of one kind, and check them against the hash in it.

    A header of a time before there were hashes is taken as it is, with a line in the log.

    Raises:
        OSError, safetensors.SafetensorError: It is missing, or no file of tensors.
        ValueError: It is of another kind, or not what was written.
    """
    with safe_open(path, framework="pt") as stored:
        metadata = stored.metadata() or {}
        if kind not in metadata:
            raise ValueError(f"it holds no {kind!r}")
        header: dict[str, Any] = json.loads(metadata[kind])
        tensors = {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118  # safe_open is no mapping
    check_seal(header, path)
    if TENSORS in header and header[TENSORS] != hash_tensors(tensors):
        raise ValueError(ALTERED)
    return header, tensors


@contextmanager
def opened_safetensors(
    path: Path, refused: Callable[[Exception], Exception], also: tuple[type[Exception], ...] = ()
) -> Iterator[Any]:
    """Open a file of tensors, which are read one by one; what is damaged, or cannot be read, is said in other words.

    Args:
        path: The file.
        refused: Makes the error to raise of the library's or the system's.
        also: Errors of the block that mean damage too.

    Yields:
        safetensors' file.
    """
    damage: tuple[type[Exception], ...] = (SafetensorError, OSError, *also)
    try:
        with safe_open(path, framework="pt", backend="pread") as file:
            yield file
    except damage as error:
        raise refused(error) from error


def hash_tensors(tensors: Mapping[str, Tensor]) -> str:
    """Return the sha256 over names, shapes, number formats and values, in the order of the names.

    Example:
        >>> one, other = {"a": torch.tensor([1.0])}, {"a": torch.tensor([2.0])}
        >>> hash_tensors(one) == hash_tensors(dict(one)), hash_tensors(one) == hash_tensors(other)
        (True, False)
    """
    digest = hashlib.sha256()
    for name in sorted(tensors):
        add_tensor(digest, name, tensors[name])
    return digest.hexdigest()


def add_tensor(digest: hashlib._Hash, name: str, value: Tensor) -> None:
    """Add a tensor's name, shape, number format and values to a hash."""
    digest.update(f"{name}|{tuple(value.shape)}|{value.dtype}|".encode())
    digest.update(tensor_bytes(value))


def stream_safetensors(
    path: Path,
    layout: Mapping[str, tuple[torch.dtype, tuple[int, ...]]],
    tensors: Iterable[tuple[str, Tensor]],
    header: Mapping[str, str],
) -> None:
    """Write tensors with one of them in memory at a time.

    Where all have one number format, the bytes are those that the library's ``save_file`` writes.

    Args:
        path: The file.
        layout: Number format and shape of every tensor.
        tensors: The tensors, in the order of :func:`storage_order`.
        header: Strings to store with them.

    Raises:
        ValueError: A tensor is not the one that the layout has in its place.
    """
    entries: dict[str, Any] = {"__metadata__": dict(header)} if header else {}
    offset = 0
    order = storage_order(layout)
    for name in order:
        dtype, shape = layout[name]
        end = offset + prod(shape) * dtype.itemsize
        entries[name] = {"dtype": CODES[dtype], "shape": list(shape), "data_offsets": [offset, end]}
        offset = end
    text = json.dumps(entries, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    with atomic(path) as temporary, temporary.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for expected, (name, tensor) in zip(order, tensors, strict=True):
            if (name, tensor.dtype, tuple(tensor.shape)) != (expected, *layout[expected]):
                raise ValueError(f"{name} {tensor.dtype} {tuple(tensor.shape)} where {expected} belongs")
            file.write(tensor_bytes(tensor))


def storage_order(layout: Mapping[str, tuple[torch.dtype, tuple[int, ...]]]) -> list[str]:
    """Return names in the order of a safetensors file: wide number formats first, then by name.

    Example:
        >>> storage_order({"b": (torch.uint8, (1,)), "c": (torch.float32, (1,)), "a": (torch.uint8, (1,))})
        ['c', 'a', 'b']
    """
    width = {name: dtype.itemsize for name, (dtype, _) in layout.items()}
    return sorted(layout, key=lambda name: (-width[name], name))


def tensor_bytes(tensor: Tensor) -> memoryview:
    """Return a tensor's values, row by row, as bytes; a view where the tensor is contiguous on the CPU."""
    flat = tensor.detach().cpu().contiguous().reshape(-1)
    return flat.view(torch.uint8).numpy().data  # bytes, since numpy has no bfloat16
