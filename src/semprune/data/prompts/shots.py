"""Which answered examples stand before an item."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from semprune.data.registry import DatasetSpec
from semprune.data.rows.examples import Example
from semprune.data.rows.splits import select
from semprune.errors import SettingError


class ShotPicker:
    """Chooses the examples to show: by a hash of seed and identifier, so that a larger number only adds."""

    def __init__(self, spec: DatasetSpec, shown: Iterable[Example], shots: int, seed: int) -> None:
        """Order the examples.

        Args:
            spec: The data set; ``shots_within`` names a column that examples share with the item.
            shown: Examples that may be shown, none of a document that is evaluated.
            shots: How many to show.
            seed: Which.
        """
        self.spec = spec
        self.shots = shots
        groups: dict[str | None, list[Example]] = {}
        for example in shown:
            groups.setdefault(self._group(example), []).append(example)
        self._chosen = {
            group: select(examples, shots, lambda e: f"shots/{seed}/{spec.name}/{e.example_id}")
            for group, examples in groups.items()
        }

    def __call__(self, example: Example) -> Sequence[Example]:
        """Return the examples to show before this one.

        Raises:
            SettingError: If there are fewer than ``shots``.
        """
        chosen = self._chosen.get(self._group(example), [])
        if len(chosen) < self.shots:
            raise SettingError("shots", self.shots, f"at most {len(chosen)}, what '{self.spec.name}' has to show")
        return chosen

    def _group(self, example: Example) -> str | None:
        return None if self.spec.shots_within is None else str(example.columns[self.spec.shots_within])
