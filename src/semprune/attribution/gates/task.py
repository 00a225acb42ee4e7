"""What the learner asks of a task, whatever it is a task of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from jaxtyping import Float
from torch import Tensor

from semprune.backbones import Backbone

Parts = Float[Tensor, "units columns"]
"""What a model says of each unit, from which what is left of the task follows."""


@dataclass(frozen=True)
class Draw:
    """Units of one step, and what the model said of them under that step's gates."""

    units: tuple[int, ...]
    parts: Parts


class GateTask(Protocol):
    """Something that a model does, unit by unit, and that gates are to take away.

    Attributes:
        concept: What it stands for.
        columns: Of :data:`Parts`.
        source: Where it comes from: tasks of one source are answers to one question, of which none stays when another
            is taken away.
    """

    concept: str
    columns: int
    source: str

    def draw(self, step: int, count: int, seed: Sequence[int]) -> list[int]:
        """Units of one step."""

    def start(self, count: int, seed: int) -> list[int]:
        """Units that the first order is taken of."""

    def sizes(self, units: Sequence[int]) -> tuple[list[int], list[int]]:
        """Rows of each unit, and tokens of its longest."""

    def read(self, lm: Backbone, units: Sequence[int]) -> Parts:
        """One forward of the units, as the model is now; their rows are in the order of the units."""

    def left(self, draws: Sequence[Draw]) -> Float[Tensor, ""]:
        """What is left of the task over some draws, about 1 for a model that does it well and 0 for one that does not.

        Each draw was read under gates of its own: what moves all of its units alike says nothing.
        """

    def moved(self, units: Sequence[int], parts: Parts, dense: Parts) -> Float[Tensor, ""]:
        """How far the model is from what the dense one says of some units: 0 where it is not, 1 where nothing is left.

        Of labels nothing is asked, since gates of another concept must leave wrong answers too as they are.
        """

    def weights(self, units: Sequence[int]) -> Parts:
        """What the parts are weighted with, in a mean over the units, for the task to first order."""

    def require_known(self, parts: Parts, units: Sequence[int]) -> None:
        """Refuse a task that the dense model, whose parts these are, does not do."""
