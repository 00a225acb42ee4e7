"""How much what is to be kept may count: the choice among strengths that were tried, under a budget of perplexity."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from semprune.errors import ProtectionBudgetError

AUTO: Final = "auto"
CANDIDATES = (0.1, 0.3, 0.6, 1.0, 3.0)
"""Strengths that are tried: from hardly any to where a trial found more to keep no more (ours)."""

NOTHING_GAINED = "  no strength keeps more than the unguided pruning does: protecting this gains nothing here"


@dataclass(frozen=True, slots=True)
class Tried:
    """A strength, and what it does to text that is held out.

    Attributes:
        strength: γ; 0 is the same pruning without anything to keep.
        perplexity: Of general text.
        kept: The score of what is named, mean of its answers or words, and of several names, in nats.
    """

    strength: float
    perplexity: float
    kept: float


@dataclass(frozen=True, slots=True)
class StrengthChoice:
    """The strength that was chosen, and the curve that it was chosen on.

    Attributes:
        strength: The chosen one.
        budget: Most that it was to cost: a share of the unguided perplexity.
        dense: The dense model, at strength 0.
        tried: Every strength, the unguided one first.
    """

    strength: float
    budget: float
    dense: Tried
    tried: tuple[Tried, ...]

    @classmethod
    def of(cls, dense: Tried, tried: Sequence[Tried], budget: float) -> StrengthChoice:
        """Choose the strength that keeps most of what is named, of those within the budget.

        Args:
            dense: The dense model.
            tried: The unguided pruning first, then every strength.
            budget: Most that a strength may add to the unguided perplexity, as a share of it.

        Raises:
            ProtectionBudgetError: None is within the budget.

        Example:
            >>> unguided, weak, strong = Tried(0.0, 40.0, 0.2), Tried(0.3, 40.4, 0.6), Tried(1.0, 43.0, 0.9)
            >>> StrengthChoice.of(Tried(0.0, 20.0, 1.2), [unguided, weak, strong], 0.02).strength
            0.3
        """
        most = tried[0].perplexity * (1 + budget)
        within = [each for each in tried[1:] if each.perplexity <= most]
        if not within:
            least = min(tried[1:], key=lambda each: each.perplexity)
            raise ProtectionBudgetError(budget, least.strength, least.perplexity / tried[0].perplexity - 1)
        return cls(max(within, key=lambda each: each.kept).strength, budget, dense, tuple(tried))

    def price(self, tried: Tried) -> float:
        """What a strength adds to the unguided perplexity, as a share of it."""
        return tried.perplexity / self.tried[0].perplexity - 1

    def record(self) -> dict[str, Any]:
        """Return it as masks hold it."""
        return asdict(self)

    @classmethod
    def from_record(cls, record: dict[str, Any]) -> StrengthChoice:
        """Return what :meth:`record` gave."""
        tried = tuple(Tried(**each) for each in record["tried"])
        return cls(record["strength"], record["budget"], Tried(**record["dense"]), tried)

    def lines(self) -> list[str]:
        """Return the choice and its curve for readers."""
        unguided, chosen = self.tried[0], next(each for each in self.tried if each.strength == self.strength)
        first = (
            f"strength {self.strength:g} keeps most within {self.budget:+.1%} perplexity; on held-out text, kept is "
            f"{self.dense.kept:.2f} in the dense model and {unguided.kept:.2f} unguided:"
        )
        found = [
            first,
            *(f"  {t.strength:g}: perplexity {self.price(t):+.1%}, kept {t.kept:.2f}" for t in self.tried[1:]),
        ]
        return found + ([NOTHING_GAINED] if chosen.kept <= unguided.kept else [])
