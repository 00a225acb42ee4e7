"""What a pruning method is: tensors in, tensors out; it knows no model and no trainer."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import Field, dataclass, field, fields, replace
from typing import Any, ClassVar, Literal, Self, get_args

from jaxtyping import Bool, Float, Int
from torch import Tensor

from semprune.errors import SettingError
from semprune.pruning.selection.keep import Group, Keep
from semprune.types import LayerStats

Needs = Literal["nothing", "squares", "second_moments"]
NEEDS: tuple[Needs, ...] = get_args(Needs)
"""Each holds all that those before it hold."""


def option(default: Any, about: str) -> Any:
    """Return a field of a method's dataclass that a user can set.

    Args:
        default: Its value where nothing is said.
        about: What it is, in a sentence; the help of commands and callbacks shows it.
    """
    return field(default=default, metadata={"about": about})


@dataclass(frozen=True, slots=True)
class Decision:
    """What a method decided about one matrix.

    Attributes:
        kept: True where a weight is kept.
        weight: New values of the kept weights, or None where a method only selects.
        order: The matrix's columns in the order in which an N:M pattern holds; None where that is their own order.
    """

    kept: Bool[Tensor, "out in"]
    weight: Float[Tensor, "out in"] | None = None
    order: Int[Tensor, " in"] | None = None


class Method(ABC):
    """A pruning method: a frozen dataclass of this kind, whose fields made with :func:`option` a user can set.

    Callbacks, configurations and labels of the report follow from it.

    Attributes:
        name: Name in configurations and results.
        label: Name for readers, and of its callback: an identifier.
        about: What it prunes, in a sentence.
        group: Which weights compete where there is no pattern: those of a ``row``, or of the whole ``matrix``.
        needs: The statistics that it reads: ``nothing`` (no forward is run), ``squares`` (of each input feature) or
            ``second_moments`` (of each pair of them).
        changes_weights: Whether it gives kept weights new values; masks alone do not reproduce it then.
    """

    name: str
    label: str
    about: str
    needs: Needs
    group: Group = "matrix"
    changes_weights: ClassVar[bool] = False

    @property
    def needs_statistics(self) -> bool:
        """Whether it reads statistics of the inputs; without, no forward is run."""
        return self.needs != "nothing"

    @abstractmethod
    def prune(self, weight: Float[Tensor, "out in"], stats: LayerStats | None, keep: Keep) -> Decision:
        """Decide about one matrix; ``keep`` says which of a matrix of scores stay."""

    def prune_together(
        self, weights: Mapping[str, Float[Tensor, "out in"]], stats: LayerStats | None, keeps: Mapping[str, Keep]
    ) -> Iterator[tuple[str, Decision]]:
        """Decide about matrices that read the same inputs, one after the other, by name."""
        for name, weight in weights.items():
            yield name, self.prune(weight, stats, keeps[name])

    def check(self, keep: Keep) -> None:  # noqa: B027  # most methods follow every selection and pattern
        """Refuse a selection or pattern that the method cannot follow.

        Raises:
            SettingError: It cannot.
        """

    @classmethod
    def option_fields(cls) -> dict[str, Field[Any]]:
        """Return the fields that a user can set, by name."""
        found: tuple[Field[Any], ...] = fields(cls)  # type: ignore[arg-type]  # every method is a dataclass
        return {each.name: each for each in found if "about" in each.metadata}

    def options(self) -> dict[str, Any]:
        """Return the options and their values."""
        return {name: getattr(self, name) for name in self.option_fields()}

    def with_options(self, options: Mapping[str, Any]) -> Self:
        """Return the method with other options.

        Raises:
            SettingError: An option is unknown, or has a value it cannot have.
        """
        known = ", ".join(self.option_fields()) or "none"
        for name in options:
            if name not in self.option_fields():
                raise SettingError(f"option of method '{self.name}'", name, f"one that it has ({known})")
        return replace(self, **options)  # type: ignore[type-var]  # every method is a dataclass


@dataclass(frozen=True)
class ScoredMethod(Method):
    """A method that ranks weights by a score and changes none that stay.

    Attributes:
        score: Gives the scores of a weight ``[out, in]`` from its statistics; the lowest go first.
    """

    name: str
    label: str
    about: str
    needs: Needs
    score: Callable[[Float[Tensor, "out in"], LayerStats | None], Float[Tensor, "out in"]]
    group: Group = "matrix"

    def prune(self, weight: Float[Tensor, "out in"], stats: LayerStats | None, keep: Keep) -> Decision:
        """Keep the highest scores."""
        return Decision(keep(self.score(weight, stats), self.group))
