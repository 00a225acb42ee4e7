"""Text that a frozen model writes itself, from an empty context: calibration without any data."""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Sequence

import torch
from filelock import FileLock
from jaxtyping import Int
from safetensors import SafetensorError
from torch import Tensor
from transformers import DynamicCache

from semprune.assets.cache import cache_folder
from semprune.backbones.backbone import Backbone
from semprune.errors import CorruptArtefactError, SettingError
from semprune.io.tensor_files import read_sealed, write_sealed

TOGETHER = 8
"""Sequences that are written side by side; part of what names a text, since rounding depends on it."""


def own_text(
    lm: Backbone, sequences: int, length: int, seed: int, start: Sequence[int]
) -> Int[Tensor, "sequences length"]:
    """Text of a model's own, kept in the cache: written once for the same weights, dtype, length and seed.

    Args:
        lm: The dense model.
        sequences: Number of sequences; more only add, in whole groups of :data:`TOGETHER`.
        length: Tokens of each.
        seed: Which text.
        start: The special tokens that a text of this model begins with; they are read, and not part of the text.

    Raises:
        SettingError: If the model cannot read so many tokens.
    """
    if length > lm.max_length:
        raise SettingError("calibration length", length, f"at most {lm.max_length}, the tokens that the model can read")
    groups = [_kept(lm, length, seed, group, tuple(start)) for group in range(-(-sequences // TOGETHER))]
    return torch.cat(groups)[:sequences]


def write_text(
    lm: Backbone, sequences: int, length: int, seed: int, start: Sequence[int]
) -> Int[Tensor, "sequences length"]:
    """Sample sequences token by token at temperature 1; special tokens are never drawn.

    The first token follows the special tokens that texts of this model begin with, often BOS, which are not part of the
    text. Others are never drawn because calibration texts have none; so a text goes on where the model would have ended
    it.

    Source: ours, after self-calibration (arXiv 2410.17170), which also writes from BOS.

    Args:
        lm: The dense model.
        sequences: Number of sequences, side by side.
        length: Tokens of each.
        seed: Of the draws.
        start: At least one token.

    Returns:
        Token ids, int64, CPU.
    """
    tokenizer = lm.tokenizer
    generator = torch.Generator().manual_seed(seed)
    token, written = torch.tensor([list(start)] * sequences, device=lm.device), []
    cache = {_cache_name(lm): DynamicCache(config=lm.model.config)}
    with torch.inference_mode():
        for _ in range(length):
            logits = lm.model(input_ids=token, use_cache=True, **cache).logits[:, -1].double().cpu()
            logits[:, tokenizer.all_special_ids] = -torch.inf
            logits[:, len(tokenizer) :] = -torch.inf  # rows of the embedding that no token has
            drawn = torch.multinomial(logits.softmax(-1), 1, generator=generator)
            written.append(drawn)
            token = drawn.to(lm.device)
    return torch.cat(written, dim=1).clone()


def _cache_name(lm: Backbone) -> str:
    """What the model's forward calls its cache: transformers renamed it in 5.24."""
    return "cache" if "cache" in inspect.signature(lm.model.forward).parameters else "past_key_values"


def _kept(lm: Backbone, length: int, seed: int, group: int, start: tuple[int, ...]) -> Int[Tensor, "group length"]:
    content = [lm.fingerprint, str(lm.dtype), lm.device.type, length, seed, group, start]
    name = hashlib.sha256("\0".join(map(str, content)).encode()).hexdigest()[:16]
    path = cache_folder() / "own_text" / f"{name}.safetensors"
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(path.with_suffix(".lock")):  # another process may be writing it
        if not path.is_file():
            draws = int.from_bytes(hashlib.sha256(f"own text/{seed}/{group}".encode()).digest()[:7], "big")
            write_sealed(path, {"input_ids": write_text(lm, TOGETHER, length, draws, start)})
    try:
        return read_sealed(path)[1]["input_ids"]
    except (OSError, SafetensorError, KeyError, ValueError) as error:
        raise CorruptArtefactError(path, str(error), "Delete it: the text is then written again.") from error
