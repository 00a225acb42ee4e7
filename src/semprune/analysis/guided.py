"""Guided prunings of a study beside the same ones without anything to keep: what is saved, item by item."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from semprune.analysis.drops import Drops, Weights
from semprune.artefacts import CELL, records, split_calibration
from semprune.statistics.estimate import Estimate

OF = [column for column in CELL if column not in ("seed", "calibrated", "calibration")]


@dataclass(frozen=True)
class GuidedPair:
    """A guided pruning and its unguided twin: of one method, amount and calibration text, over the same draws.

    Attributes:
        about: What both have in common, by the columns of :data:`OF`.
        calibration: The calibration text.
        protected: What the guided one keeps.
        guided: Rows of the guided models, a draw each.
        unguided: Rows of the unguided ones, in the same order.
    """

    about: dict[str, Any]
    calibration: str
    protected: str
    guided: list[int]
    unguided: list[int]

    def of(self, rows: list[int], drops: Drops) -> Weights:
        """Weights of the mean of some of the models."""
        weights: Weights = np.zeros(len(drops.cells))
        weights[rows] = 1 / len(rows)
        return weights

    def saved(self, drops: Drops, target: str) -> Estimate:
        """Loss of the unguided models minus that of the guided ones; with several draws, these vary too."""
        weights = self.of(self.unguided, drops) - self.of(self.guided, drops)
        estimate, draws = drops.estimate(weights, target), len(self.guided)
        if draws < 2:
            return estimate
        means = drops.mean_drops(target)
        each = means[self.unguided] - means[self.guided]
        return estimate.wider(float(each.var(ddof=1)) / draws, draws - 1)


def guided_pairs(cells: pd.DataFrame) -> list[GuidedPair]:
    """Find every guided pruning that has an unguided twin.

    Args:
        cells: The pruned models, one row each, with the columns of :data:`semprune.artefacts.cell.CELL`.

    Example:
        >>> same = {"backbone": "b", "method": "wanda", "pattern": "unstructured", "sparsity": 0.5, "seed": 0,
        ...         "calibration_sequences": 8, "calibration_length": 64, "calibrated": True}
        >>> cells = pd.DataFrame([same | {"calibration": name} for name in ("c4", "c4 keeping topic", "wiki")])
        >>> [(pair.calibration, pair.protected, pair.guided, pair.unguided) for pair in guided_pairs(cells)]
        [('c4', 'topic', [1], [0])]
    """
    rows = records(cells[CELL])
    place = {_key(row, row["calibration"]): index for index, row in enumerate(rows)}
    found: dict[tuple[object, ...], GuidedPair] = {}
    for index, row in enumerate(rows):
        text, protected = split_calibration(row["calibration"])
        twin = place.get(_key(row, text)) if protected else None
        if twin is None:
            continue
        about = {name: row[name] for name in OF}
        pair = found.setdefault((*about.values(), text, protected), GuidedPair(about, text, protected, [], []))
        pair.guided.append(index)
        pair.unguided.append(twin)
    return list(found.values())


def _key(row: dict[str, Any], calibration: str) -> tuple[object, ...]:
    return (*(row[name] for name in OF), row["seed"], calibration)
