"""Text that carries what is to be kept, as tokens, with the number that says how well a model knows it there."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from semprune.backbones.readout import Places
from semprune.pruning.calibration import CalibrationTokens, hash_calibration
from semprune.pruning.guidance.controls import Weights
from semprune.pruning.guidance.strength import AUTO, StrengthChoice

PROTECTED = "protected_text"
"""What masks call the hashes of protected texts in their settings."""
Score = Callable[[Float[Tensor, "positions vocabulary"]], Float[Tensor, ""]]
"""Takes a batch's logits where they are asked for, and gives what is to be kept in one number, summed, in nats."""


@dataclass(frozen=True, slots=True)
class ScoredBatch:
    """Rows of text that are scored together.

    Attributes:
        input_ids: Token ids, filled up on the right.
        attention_mask: 1 for tokens, 0 for padding.
        places: Whose logits are asked for.
        score: What is to be kept, from these logits.
        right: Token ids and numbers that say what the score asks for at these places.
        count: How many answers or words it sums over.
    """

    input_ids: Int[Tensor, "rows tokens"]
    attention_mask: Int[Tensor, "rows tokens"]
    places: Places
    score: Score
    right: Int[Tensor, " asked"]
    count: int


@dataclass(frozen=True, slots=True)
class ProtectedText:
    """The text of one thing that is to be kept.

    Attributes:
        name: What it is.
        strength: How much it counts; ``auto`` until it is chosen.
        batches: Its text.
        weights: How its tokens count.
    """

    name: str
    strength: float | Literal["auto"]
    batches: tuple[ScoredBatch, ...]
    weights: Weights = "fisher"

    @property
    def tokens(self) -> CalibrationTokens:
        """All rows, in one length."""
        ids, mask = _joined(batch.input_ids for batch in self.batches), self.mask
        return CalibrationTokens(ids, mask, mask.float())

    @property
    def number(self) -> float:
        """The strength, once it is chosen."""
        assert self.strength != AUTO
        return self.strength

    def chosen(self, choice: StrengthChoice) -> ProtectedText:
        """Return the text with the chosen strength, where it has none of its own."""
        return replace(self, strength=choice.strength) if self.strength == AUTO else self

    @property
    def mask(self) -> Int[Tensor, "rows tokens"]:
        """1 for tokens of all rows, 0 for padding."""
        return _joined(batch.attention_mask for batch in self.batches)

    @property
    def text_hash(self) -> str:
        """The sha256 of its token ids, of where they are scored, and of what is right there."""
        scored = [part[None] for batch in self.batches for part in (*batch.places, batch.right)]
        parts = map(hash_calibration, (self.tokens.input_ids, *scored))
        return hashlib.sha256("".join(parts).encode()).hexdigest()


def _joined(parts: Iterable[Int[Tensor, "rows tokens"]]) -> Int[Tensor, "all longest"]:
    own = list(parts)
    longest = max(rows.shape[1] for rows in own)
    return torch.cat([nn.functional.pad(rows, (0, longest - rows.shape[1])) for rows in own])


def text_hashes(texts: Iterable[ProtectedText]) -> dict[str, str]:
    """What tells texts apart, by their names."""
    return {each.name: each.text_hash for each in texts}


def with_texts(
    settings: Mapping[str, Any], texts: Sequence[ProtectedText], choice: StrengthChoice | None = None
) -> dict[str, Any]:
    """Return settings as masks record them.

    Args:
        settings: How it was pruned.
        texts: What was protected: their hashes, by their names.
        choice: The strength that was chosen, with its curve; None where it was given.
    """
    found = dict(settings) | ({PROTECTED: text_hashes(texts)} if texts else {})
    return found | ({} if choice is None else {"protected_strength": choice.record()})
