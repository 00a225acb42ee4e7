"""What a user may hand to a pruning as calibration: texts, encodings or token ids; and as a model: a backbone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from jaxtyping import Int
from torch import Tensor, nn

from semprune.backbones.backbone import Backbone
from semprune.data.batches.special_tokens import encode
from semprune.data.subject import context_length
from semprune.errors import ConfigurationError, SettingError

GIVEN = "a text, texts, token ids [sequences, tokens], or a tokenizer's encoding of texts"
Sequences = tuple[Int[Tensor, "sequences tokens"] | None, Int[Tensor, "sequences tokens"] | None]


def bare_model(model: Any) -> nn.Module:
    """Return the model in memory: that of a backbone, or the model itself.

    Raises:
        SettingError: It is neither.
    """
    found = model.model if isinstance(model, Backbone) else model
    if not isinstance(found, nn.Module):
        raise SettingError("model", model, "a Hugging Face causal language model, or what load_backbone returns")
    return found


def sequences_of(model: Any, given: Any, attention_mask: Tensor | None, tokenizer: Any = None) -> Sequences:
    """Return calibration as token ids with their mask, filled up on the right where sequences differ in length.

    A text is encoded as its tokenizer encodes every text, special tokens included.

    Args:
        model: The backbone, or the model in memory.
        given: One text or several; lists of token ids; a mapping with ``input_ids``; or a tensor, taken as it is.
        attention_mask: The caller's, for token ids.
        tokenizer: For texts; None takes a backbone's.

    Raises:
        ConfigurationError: There are texts, and no tokenizer is known.
        SettingError: It is nothing of that kind, a sequence has no token, or a text is longer than the model reads.
    """
    if isinstance(given, Mapping):
        if "input_ids" not in given:
            raise SettingError("input_ids", f"a mapping of {', '.join(map(str, given))}", GIVEN)
        own = given.get("attention_mask")
        if own is not None and attention_mask is not None:
            raise ConfigurationError("the encoding has an attention_mask of its own: leave out the argument.")
        given, attention_mask = given["input_ids"], attention_mask if own is None else own
    mask = None if attention_mask is None else _tensor("attention_mask", attention_mask)
    if given is None or isinstance(given, Tensor):
        return given, mask
    texts = [given] if isinstance(given, str) else given
    if isinstance(texts, Sequence) and texts and all(isinstance(text, str) for text in texts):
        given = _encoded(model, texts, tokenizer)
    if mask is None and _are_rows(given):
        mask = _tensor("attention_mask", [[1] * len(row) for row in given])
    return _tensor("input_ids", given), mask


def _encoded(model: Any, texts: Sequence[str], tokenizer: Any) -> list[list[int]]:
    tokenizer = tokenizer or getattr(model, "tokenizer", None)
    if tokenizer is None:
        raise ConfigurationError(
            f"{type(model).__name__} has no tokenizer to read texts with. Pass `tokenizer`, or a backbone."
        )
    most = model.max_length if isinstance(model, Backbone) else context_length(model, tokenizer)
    rows = [encode(tokenizer, text) for text in texts]
    for place, row in enumerate(rows):
        if len(row) > most:
            raise SettingError(f"text {place}", f"{len(row)} tokens", f"at most {most} tokens, which the model reads")
    return rows


def _are_rows(given: Any) -> bool:
    return isinstance(given, Sequence) and all(isinstance(row, Sequence) and not isinstance(row, str) for row in given)


def _tensor(name: str, given: Any) -> Tensor:
    """A tensor of what may be one; rows are filled up with zeros on the right."""
    if _are_rows(given) and given:
        lengths = [len(row) for row in given]
        if 0 in lengths:
            raise SettingError(f"calibration sequence {lengths.index(0)}", "nothing", "one token or more")
        given = [[*row, *[0] * (max(lengths) - len(row))] for row in given]
    try:
        return torch.as_tensor(given)
    except (TypeError, ValueError, RuntimeError) as error:
        raise SettingError(name, given, GIVEN if name == "input_ids" else "zeros and ones of its shape") from error
