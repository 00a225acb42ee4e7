"""Where words begin and end, told from token ids alone.

A word may begin where the text before it ends in no word character (letter, digit, underscore), nor in one and an
apostrophe; it may end where the text after it starts with no word character, nor with an apostrophe and one ("don" in
"don't" ends no word). How many tokens must be read is not fixed: a typographic apostrophe can be three of them. So each
direction is a small automaton over tokens, ``state = table[token, state]``, one lookup per token read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import torch
from jaxtyping import Bool, Int, UInt8
from torch import Tensor

APOSTROPHES: Final = ("'", "\u2019")
OPEN, APOSTROPHE, BOUNDARY, INSIDE, STATES = 0, 1, 6, 7, 8
"""Nothing read; an apostrophe read; settled as a word's edge, or as the inside of a longer word; number of states."""

# The bytes that the unsettled states have read: pieces of U+2019 (E2 80 99), or the last byte of some other character
# (BF stands for any), with an apostrophe after it or without.
_READ_AFTER: Final = (b"", b"'", b"\xe2", b"\xe2\x80")
_READ_BEFORE: Final = (b"", b"'", b"\x99", b"\x80\x99", b"\xbf", b"\xbf'")
_DECISIVE_BYTES: Final = 8  # an apostrophe (3) and the character beyond (at most 4) settle every state


def state_after(text: bytes) -> int:
    """State of having read ``text`` to the right of a word.

    Example:
        >>> [state_after(text) for text in (b"s", b"'t", b"'", b"' ", b" s")]
        [7, 7, 1, 6, 6]
    """
    if text in _READ_AFTER:
        return _READ_AFTER.index(text)
    size = _character_size(text[0])
    if _decode(text[:size]) in APOSTROPHES:
        return APOSTROPHE if not text[size:] else _settled(text[size:][: _character_size(text[size])])
    return _settled(text[:size])


def state_before(text: bytes) -> int:
    """State of having read ``text`` to the left of a word.

    Example:
        >>> [state_before(text) for text in (b"s", b"o'", b"'", b" '", b"s ")]
        [7, 7, 1, 6, 6]
    """
    if text in _READ_BEFORE:
        return _READ_BEFORE.index(text)
    rest, last = _split_last(text)
    if _is_continuation(last[0]):
        return _READ_BEFORE.index(b"\xbf")
    if _decode(last) in APOSTROPHES:
        if not rest:
            return APOSTROPHE
        last = _split_last(rest)[1]
        return _READ_BEFORE.index(b"\xbf'") if _is_continuation(last[0]) else _settled(last)
    return _settled(last)


def state_at_start(surface: bytes) -> int:
    """State in which a word's first token leaves the reading of what stands before it.

    Example:
        >>> [state_at_start(surface) for surface in (b"good", b" good", b"'s")]
        [0, 6, 1]
    """
    if not surface:
        return BOUNDARY
    first = surface[: _character_size(surface[0])]
    return APOSTROPHE if _decode(first) in APOSTROPHES else OPEN if _settled(first) == INSIDE else BOUNDARY


def transitions_after(surfaces: Sequence[bytes]) -> UInt8[Tensor, "tokens states"]:
    """Next state for each token to the right of a word; special tokens (no surface) are a word's edge."""
    ends = [surface[:1] if _is_plain(surface[:1]) else surface[:_DECISIVE_BYTES] for surface in surfaces]
    return _table(ends, {end: [state_after(read + end) for read in _READ_AFTER] for end in set(ends) - {b""}})


def transitions_before(surfaces: Sequence[bytes]) -> UInt8[Tensor, "tokens states"]:
    """Next state for each token to the left of a word; special tokens (no surface) are a word's edge."""
    ends = [surface[-1:] if _is_plain(surface[-1:]) else surface[-_DECISIVE_BYTES:] for surface in surfaces]
    return _table(ends, {end: [state_before(end + read) for read in _READ_BEFORE] for end in set(ends) - {b""}})


def _is_plain(byte: bytes) -> bool:
    """Whether this byte, nearest to the word, settles the state alone."""
    return byte.isascii() and byte not in (b"'", b"")


def _table(ends: Sequence[bytes], states: Mapping[bytes, Sequence[int]]) -> UInt8[Tensor, "tokens states"]:
    # States that this direction never is in are filled up; the settled ones stay what they are.
    settled = [BOUNDARY] * (INSIDE - len(next(iter(states.values())))) + [INSIDE]
    edge = [BOUNDARY] * INSIDE + [INSIDE]
    return torch.tensor([[*states[end], *settled] if end else edge for end in ends], dtype=torch.uint8)


def read_edges(
    transitions: UInt8[Tensor, " transitions"], ids: Int[Tensor, " places"], state: UInt8[Tensor, " places"], step: int
) -> Bool[Tensor, " places"]:
    """Read away from every place at once until each is settled.

    Args:
        transitions: :func:`transitions_after` or :func:`transitions_before`, flattened.
        ids: Token ids; every row begins and ends with a token that is an edge, so that no reading leaves its row.
        state: State of each place before anything is read.
        step: 1 to read to the right, -1 to the left.

    Returns:
        True where the place is a word's edge.
    """
    state = transitions[ids.roll(-step) * STATES + state]
    place, ahead = state.lt(BOUNDARY).nonzero().squeeze(-1), step
    while len(place):  # seldom more than the few places next to an apostrophe
        ahead += step
        state[place] = transitions[ids[place + ahead] * STATES + state[place]]
        place = place[state[place].lt(BOUNDARY)]
    return state.eq(BOUNDARY)


def is_word_character(character: str) -> bool:
    """Letter, digit or underscore."""
    return character.isalnum() or character == "_"


def _settled(character: bytes) -> int:
    decoded = _decode(character)
    if decoded:
        return INSIDE if is_word_character(decoded) else BOUNDARY
    # A character split over tokens is judged by its first byte: C2, E2, EE and above are punctuation, symbols, emoji.
    return INSIDE if 0xC3 <= character[0] <= 0xED and character[0] != 0xE2 else BOUNDARY


def _decode(character: bytes) -> str:
    try:
        return character.decode()
    except UnicodeDecodeError:
        return ""


def _character_size(lead: int) -> int:
    return 1 if lead < 0xC0 else 2 if lead < 0xE0 else 3 if lead < 0xF0 else 4


def _is_continuation(byte: int) -> bool:
    return 0x80 <= byte < 0xC0


def _split_last(text: bytes) -> tuple[bytes, bytes]:
    start = len(text) - 1
    while start and _is_continuation(text[start]):
        start -= 1
    return text[:start], text[start:]
