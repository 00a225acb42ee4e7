"""What each token writes, as bytes, under the conventions of byte-level BPE and of SentencePiece."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final, Protocol

from semprune.errors import SettingError

_BYTE_SPACE: Final = "Ġ"  # a space in byte-level BPE
_PIECE_SPACE: Final = "▁"  # U+2581, a space in SentencePiece
_BYTE_PIECE: Final = re.compile(r"<0x([0-9A-F]{2})>")


class Tokenizer(Protocol):
    """The part of a Hugging Face tokenizer that is needed here."""

    @property
    def all_special_ids(self) -> Sequence[int]:
        """Ids that stand for no text."""
        ...

    def get_vocab(self) -> Mapping[str, int]:
        """Token to id, added tokens included."""
        ...

    def __call__(
        self,
        text: list[str],
        *,
        add_special_tokens: bool,
        return_attention_mask: bool = True,
        return_token_type_ids: bool = True,
    ) -> Mapping[str, Any]:
        """Encode texts; ``["input_ids"]`` holds a list of ids per text."""
        ...


def byte_alphabet() -> dict[str, int]:
    """The character that byte-level BPE writes for each byte, reversed.

    Printable Latin-1 bytes stand for themselves; the others take the code points from U+0100 on, in order.

    Source: Radford et al., GPT-2 (2019), section 2.2.

    Example:
        >>> byte_alphabet()["Ġ"], byte_alphabet()["a"], len(byte_alphabet())
        (32, 97, 256)
    """
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(0x100) if byte not in printable]
    return {chr(byte): byte for byte in printable} | {chr(0x100 + place): byte for place, byte in enumerate(others)}


def token_surfaces(tokenizer: Tokenizer) -> list[bytes]:
    """The bytes that each token id writes.

    Args:
        tokenizer: A Hugging Face tokenizer, byte-level BPE or SentencePiece.

    Returns:
        One entry per id up to the largest; empty for special tokens and ids without a token.

    Raises:
        SettingError: If the vocabulary follows neither convention.
    """
    vocabulary = tokenizer.get_vocab()
    byte_level, pieces = (sum(t.startswith(space) for t in vocabulary) for space in (_BYTE_SPACE, _PIECE_SPACE))
    if not byte_level and not pieces:
        kind = type(tokenizer).__name__
        raise SettingError("tokenizer", kind, f"byte-level BPE ({_BYTE_SPACE}) or SentencePiece ({_PIECE_SPACE})")
    alphabet = byte_alphabet() if byte_level > pieces else None
    special = set(tokenizer.all_special_ids)
    surfaces = [b""] * (max(vocabulary.values()) + 1)
    for token, index in vocabulary.items():
        if index not in special:
            surfaces[index] = _piece_bytes(token) if alphabet is None else _unmap(token, alphabet)
    return surfaces


def _unmap(token: str, alphabet: Mapping[str, int]) -> bytes:
    # Added tokens are stored as plain text, whose characters may lie outside the alphabet.
    return b"".join(bytes([alphabet[c]]) if c in alphabet else c.encode() for c in token)


def _piece_bytes(piece: str) -> bytes:
    byte = _BYTE_PIECE.fullmatch(piece)
    return bytes([int(byte[1], 16)]) if byte else piece.replace(_PIECE_SPACE, " ").encode()
