"""Damage to files, the same for the same seed: flipped bits, cut ends, foreign pieces, fields of other kinds."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from typing import Any

FOREIGN = (
    b"",
    b"\x00" * 64,
    b"hello\n",
    b"\xff\xfe\x80\x81",
    b"[" * 5000,
    b"{}",
    b"[]",
    b"null",
    b"PK\x03\x04",
    b"PAR1",
)
"""What a file may be instead."""
VALUES: tuple[Any, ...] = (
    None, True, "", "abc", "[/b]", -1, 0, 1, 3, 2**40, 10**30, -0.5, 1e308, [], ["x"], [48, 24], {}, {"a": 1},
)  # fmt: skip
"""What a field may be instead; Python's JSON also writes NaN."""


def mutations(content: bytes, count: int, seed: int = 0) -> Iterator[tuple[str, bytes]]:
    """So many ways in which a file may be damaged, each with its name."""
    rng = random.Random(seed)
    fields = json_fields(content)
    for number in range(count):
        kinds: list[Callable[[random.Random, bytes], bytes]] = [flipped, flipped, cut, replaced, doubled, foreign]
        if fields is not None and number % 2:
            yield f"{number}-field", other_field(rng, content)
        else:
            change = kinds[number // 2 % len(kinds)]
            yield f"{number}-{change.__name__}", change(rng, content)


def flipped(rng: random.Random, content: bytes) -> bytes:
    """One bit is another."""
    place = rng.randrange(len(content))
    return content[:place] + bytes([content[place] ^ 1 << rng.randrange(8)]) + content[place + 1 :]


def cut(rng: random.Random, content: bytes) -> bytes:
    """The end is missing."""
    return content[: rng.randrange(len(content))]


def replaced(rng: random.Random, content: bytes) -> bytes:
    """A piece is something else."""
    place, length = rng.randrange(len(content)), rng.randrange(1, 64)
    return content[:place] + rng.randbytes(length) + content[place + length :]


def doubled(rng: random.Random, content: bytes) -> bytes:
    """A piece is there twice."""
    place = rng.randrange(len(content))
    return content[:place] + content[max(0, place - 40) :]


def foreign(rng: random.Random, content: bytes) -> bytes:
    """It is another file."""
    return rng.choice(FOREIGN)


def json_fields(content: bytes) -> dict[str, Any] | None:
    """The object that a file holds, None where it holds none."""
    try:
        found = json.loads(content)
    except ValueError:
        return None
    return found if isinstance(found, dict) and found else None


def other_field(rng: random.Random, content: bytes) -> bytes:
    """One value in a JSON file, at any depth, is of another kind, or is missing."""
    whole = json.loads(content)
    places = list(_places(whole))
    holder, key = rng.choice(places)
    if rng.random() < 0.2:
        del holder[key]
    else:
        holder[key] = rng.choice(VALUES)
    return json.dumps(whole).encode()


def _places(value: Any, depth: int = 0) -> Iterator[tuple[Any, Any]]:
    """Where values stand; of long lists and mappings some."""
    keys = list(value) if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    for key in list(keys)[:40]:
        yield value, key
        yield from _places(value[key], depth + 1)
