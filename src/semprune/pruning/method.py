"""What a pruning method is: tensors in, tensors out; it knows no model and no trainer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from jaxtyping import Bool, Float
from torch import Tensor

from semprune.pruning.selection import Group, Keep
from semprune.types import LayerStats


@dataclass(frozen=True, slots=True)
class Decision:
    """What a method decided about one matrix.

    Attributes:
        kept: True where a weight is kept.
        weight: New values of the kept weights, or None where a method only selects.
    """

    kept: Bool[Tensor, "out in"]
    weight: Float[Tensor, "out in"] | None = None


class Method(Protocol):
    """A pruning method; one file in ``pruning/methods`` that defines ``METHOD``."""

    @property
    def name(self) -> str:
        """Name in configurations and results; the name of the file."""

    @property
    def needs_statistics(self) -> bool:
        """Whether it reads the statistics of the inputs; without, no forward is run."""

    def prune(self, weight: Float[Tensor, "out in"], stats: LayerStats | None, keep: Keep) -> Decision:
        """Decide about one matrix; ``keep`` says which of a matrix of scores stay."""


@dataclass(frozen=True, slots=True)
class ScoredMethod:
    """A method that ranks weights by a score and changes none that stay.

    Attributes:
        name: Name in configurations and results.
        group: Which weights compete with each other: those of a ``row``, or of the whole ``matrix``.
        needs_statistics: Whether the score reads the statistics of the inputs.
        score: Gives the scores of a weight ``[out, in]`` from its statistics; the lowest go first.
    """

    name: str
    group: Group
    needs_statistics: bool
    score: Callable[[Float[Tensor, "out in"], LayerStats | None], Float[Tensor, "out in"]]

    def prune(self, weight: Float[Tensor, "out in"], stats: LayerStats | None, keep: Keep) -> Decision:
        """Keep the highest scores."""
        return Decision(keep(self.score(weight, stats), self.group))
