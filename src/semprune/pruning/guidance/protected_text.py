"""Text that carries what is to be kept, as tokens, with the number that says how well a model knows it there."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from semprune.pruning.calibration import CalibrationTokens, hash_calibration
from semprune.pruning.guidance.controls import Weights

Score = Callable[[Float[Tensor, "rows tokens vocabulary"]], Float[Tensor, ""]]
"""Takes a batch's logits and gives what is to be kept in one number, summed over the batch, in nats."""


@dataclass(frozen=True, slots=True)
class ScoredBatch:
    """Rows of text that are scored together.

    Attributes:
        input_ids: Token ids, filled up on the right.
        attention_mask: 1 for tokens, 0 for padding.
        score: What is to be kept, from the logits of these rows.
    """

    input_ids: Int[Tensor, "rows tokens"]
    attention_mask: Int[Tensor, "rows tokens"]
    score: Score


@dataclass(frozen=True, slots=True)
class ProtectedText:
    """The text of one thing that is to be kept.

    Attributes:
        name: What it is.
        strength: How much it counts.
        batches: Its text.
        weights: How its tokens count.
    """

    name: str
    strength: float
    batches: tuple[ScoredBatch, ...]
    weights: Weights = "fisher"

    @property
    def tokens(self) -> CalibrationTokens:
        """All rows, in one length."""
        ids, mask = _joined(batch.input_ids for batch in self.batches), self.mask
        return CalibrationTokens(ids, mask, mask.float())

    @property
    def mask(self) -> Int[Tensor, "rows tokens"]:
        """1 for tokens of all rows, 0 for padding."""
        return _joined(batch.attention_mask for batch in self.batches)

    @property
    def text_hash(self) -> str:
        """The sha256 of its token ids."""
        return hash_calibration(self.tokens.input_ids)


def _joined(parts: Iterable[Int[Tensor, "rows tokens"]]) -> Int[Tensor, "all longest"]:
    own = list(parts)
    longest = max(rows.shape[1] for rows in own)
    return torch.cat([nn.functional.pad(rows, (0, longest - rows.shape[1])) for rows in own])


def with_texts(settings: Mapping[str, Any], texts: Sequence[ProtectedText]) -> dict[str, Any]:
    """Return settings as masks record them: with the sha256 of the protected texts' token ids, by their names."""
    return dict(settings) | ({"protected_text": {each.name: each.text_hash for each in texts}} if texts else {})
