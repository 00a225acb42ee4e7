"""A file's hash of itself, kept inside of it: what was altered on the disk is told from what was written (no torch)."""

from __future__ import annotations

import hashlib
import json
import logging
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

logger = logging.getLogger(__name__)

ENTRY = "sha256"
"""The entry of a sealed header that holds the hash of all others."""
PARQUET_KEY = b"semprune.sha256"
HOLE = b"0" * 64
"""What stands in a parquet file in the place of its hash while it is hashed."""
ALTERED = "its content does not have the hash that was stored with it"


def seal(header: Mapping[str, Any]) -> dict[str, Any]:
    """Return a header with a hash of its own entries, which :func:`check_seal` compares.

    What lies outside of the header is covered where the header holds a hash of it.

    Example:
        >>> sorted(seal({"a": 1})), check_seal(seal({"a": 1}), "x")
        (['a', 'sha256'], None)
    """
    own = {key: value for key, value in header.items() if key != ENTRY}
    return {**own, ENTRY: _hash_header(own)}


def check_seal(header: Mapping[str, Any], name: object) -> None:
    """Refuse a header that is not what was sealed; an older one, without a seal, is taken with a line in the log.

    Args:
        header: As it was read.
        name: What it is of, for the log.

    Raises:
        ValueError: It has another hash than the one in it.
    """
    if ENTRY not in header:
        _log_unsealed(name)
    elif header != seal(header):
        raise ValueError(ALTERED)


def _hash_header(header: Mapping[str, Any]) -> str:
    plain = json.loads(json.dumps(header))  # as it will be read: lists for tuples, texts for numbers as keys
    return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()


def seal_parquet(path: Path) -> None:
    """Put a parquet file's hash into the place that its footer keeps for it (key ``semprune.sha256``).

    The hash is that of all its bytes with 64 zeros in this place, so it needs no reader of parquet to be checked.
    """
    content = path.read_bytes()
    place = _place(content)
    assert place is not None, "the footer keeps no place for the hash"
    with path.open("r+b") as file:
        file.seek(place)
        file.write(_hash_around(content, place))


def check_parquet(path: Path) -> None:
    """Refuse a parquet file that is not what was sealed; an older one, without a seal, is taken with a line in the log.

    Raises:
        OSError: It cannot be read.
        ValueError: It is no parquet file, or has another hash than the one in it.
    """
    content = path.read_bytes()
    place = _place(content)
    if place is None:
        _log_unsealed(path)
    elif content[place : place + len(HOLE)] != _hash_around(content, place):
        raise ValueError(ALTERED)


def _place(content: bytes) -> int | None:
    r"""Where in a parquet file its hash stands, or None where its footer names none.

    A footer is Thrift: the value comes after the key as a field of binary type (``\x18``) with its length.
    """
    footer = len(content) - 8 - int.from_bytes(content[-8:-4], "little")
    if not content.endswith(b"PAR1") or not 4 <= footer < len(content):
        raise ValueError("it is cut short, or no parquet file")
    found = re.findall(re.escape(PARQUET_KEY), content[footer:])
    if not found:
        return None
    entry = re.search(re.escape(PARQUET_KEY) + rb"\x18@(?=[0-9a-f]{64})", content[footer:])
    if entry is None or len(found) > 1:
        raise ValueError("its footer is damaged")
    return footer + entry.end()


def _hash_around(content: bytes, place: int) -> bytes:
    whole = memoryview(content)
    digest = hashlib.sha256(whole[:place])
    digest.update(HOLE)
    digest.update(whole[place + len(HOLE) :])
    return digest.hexdigest().encode()


def _log_unsealed(name: object) -> None:
    logger.info("%s was written before files carried a hash of themselves: what it holds cannot be verified", name)
