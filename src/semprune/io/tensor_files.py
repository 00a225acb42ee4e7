"""Tensor files: safetensors, written atomically, at once or tensor by tensor."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Mapping
from math import prod
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

from semprune.io.files import atomic

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

    Raises:
        OSError: The system refuses it: no room, no permission.
    """
    with atomic(path) as temporary:
        try:
            save_file({name: tensor.detach().cpu() for name, tensor in tensors.items()}, temporary, dict(header))
        except SafetensorError as error:
            if refused := re.search(r"\(os error (\d+)\)", str(error)):  # the library has one class for everything
                code = int(refused[1])
                raise OSError(code, os.strerror(code), str(path)) from error
            raise


def stream_safetensors(
    path: Path,
    layout: Mapping[str, tuple[torch.dtype, tuple[int, ...]]],
    tensors: Iterable[tuple[str, Tensor]],
    header: Mapping[str, str],
) -> None:
    """Write tensors with one of them in memory at a time.

    Where all have one number format, the bytes are those of :func:`write_safetensors`.

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
