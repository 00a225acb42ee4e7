"""What a GGUF file says of itself: metadata and the table of tensors, read before any weight.

The ``gguf`` package reads the same, and makes an array of every word of the vocabulary: half a minute of large ones.
"""

from __future__ import annotations

import mmap
import struct
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

from gguf import GGML_QUANT_SIZES, GGMLQuantizationType

from semprune.errors import BackboneLoadError

MAGIC = b"GGUF"
VERSIONS = (2, 3)
NUMBERS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
TEXT, LIST = 8, 9
CUT = "Is its download complete? Compare its size with the original's."
OTHER_WEIGHTS = (
    "Take another quantisation of the model (Q8_0, Q4_K_M, F16 …), or a newer release of the `gguf` package."
)


@dataclass(frozen=True, slots=True)
class GgufTensor:
    """A tensor's name, shape (fastest dimension first), quantisation, and where it ends, from the start of the file."""

    name: str
    shape: tuple[int, ...]
    kind: GGMLQuantizationType
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class GgufHeader:
    """What a file says of itself.

    Attributes:
        metadata: Numbers and texts by key; of a list, its length.
        tensors: The tensors, in the order of the file.
    """

    metadata: dict[str, Any]
    tensors: tuple[GgufTensor, ...]

    @property
    def float32_bytes(self) -> int:
        """Size of all tensors once they are dequantised."""
        return sum(4 * prod(tensor.shape) for tensor in self.tensors)


def read_header(name: str, path: Path) -> GgufHeader:
    """Read a file's header.

    Args:
        name: What the backbone was asked for by, for messages.
        path: The file.

    Raises:
        BackboneLoadError: It is no GGUF file, ends too early, or holds weights of an unknown quantisation.
    """
    size = path.stat().st_size
    if size < len(MAGIC):
        raise BackboneLoadError(name, f"{path} has {size} bytes and is no GGUF file", CUT)
    with path.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as content:
        if content[:4] != MAGIC:
            raise BackboneLoadError(name, f"{path} is no GGUF file", "Pass a .gguf file, or a folder with config.json.")
        try:
            header = _read(name, _Cursor(content))
        except (struct.error, IndexError) as error:
            raise BackboneLoadError(name, f"{path} ends in the middle of its header", CUT) from error
        except UnicodeDecodeError as error:
            raise BackboneLoadError(name, f"the header of {path} is damaged", CUT) from error
    end = max((tensor.end for tensor in header.tensors), default=0)
    if end > size:
        missing = f"{path} has {size:,} bytes, and its header speaks of {end:,}"
        raise BackboneLoadError(name, missing, CUT)
    return header


class _Cursor:
    """A place in the file that moves as it is read."""

    def __init__(self, content: mmap.mmap) -> None:
        self.content = content
        self.place = len(MAGIC)

    def number(self, code: str) -> Any:
        (value,) = struct.unpack_from(f"<{code}", self.content, self.place)
        self.place += struct.calcsize(code)
        return value

    def text(self) -> str:
        return self.skip(self.number("Q")).decode("utf-8")

    def skip(self, length: int) -> bytes:
        found = self.content[self.place : self.place + length]
        if len(found) < length:
            raise IndexError
        self.place += length
        return found

    def value(self, kind: int) -> Any:
        """A number or a text; a list is passed over, and its length returned."""
        if kind in NUMBERS:
            return self.number(NUMBERS[kind])
        if kind == TEXT:
            return self.text()
        if kind != LIST:
            raise IndexError  # no such kind: what was read before was not what it was taken for
        inner, length = self.number("I"), self.number("Q")
        if inner in NUMBERS:
            self.skip(length * struct.calcsize(NUMBERS[inner]))
        else:
            for _ in range(length):
                self.skip(self.number("Q")) if inner == TEXT else self.value(inner)
        return length


def _read(name: str, cursor: _Cursor) -> GgufHeader:
    version = cursor.number("I")
    if version not in VERSIONS:
        known = " and ".join(map(str, VERSIONS))
        raise BackboneLoadError(
            name, f"it is GGUF of version {version}", f"Versions {known} are read; convert it anew."
        )
    tensors, keys = cursor.number("Q"), cursor.number("Q")
    metadata = {cursor.text(): cursor.value(cursor.number("I")) for _ in range(keys)}
    table = [_tensor(name, cursor) for _ in range(tensors)]
    alignment = metadata.get("general.alignment", 32)
    start = -(-cursor.place // alignment) * alignment
    return GgufHeader(metadata, tuple(_placed(*entry, start) for entry in table))


def _tensor(name: str, cursor: _Cursor) -> tuple[str, tuple[int, ...], GGMLQuantizationType, int]:
    tensor = cursor.text()
    shape = tuple(cursor.number("Q") for _ in range(cursor.number("I")))
    kind = cursor.number("I")
    if kind not in {known.value for known in GGMLQuantizationType}:
        raise BackboneLoadError(name, f"{tensor} is of an unknown quantisation, number {kind}", OTHER_WEIGHTS)
    return tensor, shape, GGMLQuantizationType(kind), cursor.number("Q")


def _placed(tensor: str, shape: tuple[int, ...], kind: GGMLQuantizationType, offset: int, start: int) -> GgufTensor:
    block, block_bytes = GGML_QUANT_SIZES[kind]
    begin = start + offset
    return GgufTensor(tensor, shape, kind, begin, begin + prod(shape) // block * block_bytes)
