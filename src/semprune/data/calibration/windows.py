"""Sequences of tokens: windows of a text, or random ones, and the hash that names them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor

from semprune.errors import EmptyCalibrationError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


def draw_windows(
    tokens: Sequence[int], sequences: int, length: int, seed: int, *, calibration: str = "calibration"
) -> Int[Tensor, "sequences length"]:
    """Draw windows of a tokenised text that do not overlap.

    The text is cut into windows from its start, the tail is dropped, and the seed shuffles the windows:
    with the same seed, more sequences only add to fewer. No special tokens are added, see :func:`behind_prefix`.

    Args:
        tokens: Token ids of the text.
        sequences: Number of windows.
        length: Tokens of each.
        seed: Which windows.
        calibration: Name for messages.

    Returns:
        Token ids, int64.

    Raises:
        EmptyCalibrationError: If the text has fewer windows.

    Example:
        >>> draw_windows(range(7), sequences=3, length=2, seed=0).sort(dim=0).values
        tensor([[0, 1],
                [2, 3],
                [4, 5]])
    """
    windows = len(tokens) // length
    if windows < sequences:
        raise EmptyCalibrationError(calibration, len(tokens), length, sequences)
    chosen = np.random.default_rng(seed).permutation(windows)[:sequences]
    cut = torch.tensor(tokens[: windows * length], dtype=torch.long).reshape(windows, length)
    return cut[torch.from_numpy(chosen)]


def random_tokens(
    tokenizer: PreTrainedTokenizerBase, sequences: int, length: int, seed: int
) -> Int[Tensor, "sequences length"]:
    """Tokens drawn evenly from the vocabulary without its special tokens; more sequences only add.

    Args:
        tokenizer: Whose vocabulary.
        sequences: Number of sequences.
        length: Tokens of each.
        seed: Which tokens.
    """
    special = set(tokenizer.all_special_ids)
    ordinary = np.array([token for token in range(len(tokenizer)) if token not in special])
    drawn = np.random.default_rng(seed).integers(0, len(ordinary), size=(sequences, length))
    return torch.from_numpy(ordinary[drawn])


def behind_prefix(prefix: Sequence[int], windows: Int[Tensor, "sequences own"]) -> Int[Tensor, "sequences length"]:
    """Put the same tokens before each window.

    Example:
        >>> behind_prefix([9], torch.tensor([[1, 2], [3, 4]]))
        tensor([[9, 1, 2],
                [9, 3, 4]])
    """
    before = torch.tensor(prefix, dtype=torch.long).expand(len(windows), -1)
    return torch.cat([before, windows], dim=1)


def hash_tokens(input_ids: Int[Tensor, "sequences length"]) -> str:
    """SHA-256 of shape and token ids (int64, little endian), in hex: names the calibration in artefacts."""
    digest = hashlib.sha256(str(tuple(input_ids.shape)).encode())
    digest.update(input_ids.cpu().numpy().astype("<i8").tobytes())
    return digest.hexdigest()
