"""Which models of a study can be compared, and the comparison of calibration sizes."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from semprune.analysis import Drops
from semprune.analysis.drops import CELL, EVERYTHING

SIZES = ("calibration_sequences", "calibration_length")


def balanced(drops: Drops, over: Sequence[str]) -> Drops:
    """The models that were measured with every value of some columns, so that these are compared on common ground.

    Args:
        drops: Of calibrated models.
        over: Columns to compare.
    """
    values = drops.cells[list(over)].drop_duplicates()
    keys = [column for column in CELL if column not in over]
    counts = drops.cells.groupby(keys)[over[0]].transform("size")
    return drops.only(counts == len(values))


def size_table(drops: Drops) -> pd.DataFrame:
    """Mean drop by the number and the length of calibration sequences, for each family and for all.

    Returns:
        Columns target, metric, calibration_sequences, calibration_length, drop, low, high, models; empty where the
        study has one size.
    """
    own = balanced(drops, SIZES)
    found = own.cells[list(SIZES)].drop_duplicates().sort_values(list(SIZES))
    rows = []
    for target in [*own.families, EVERYTHING] if len(found) > 1 else []:
        for sequences, length in found.to_numpy().tolist():
            chosen = (own.cells[SIZES[0]] == sequences) & (own.cells[SIZES[1]] == length)
            mean = own.estimate((chosen / chosen.sum()).to_numpy(), target)
            row = {"target": target, "metric": drops.metric, SIZES[0]: sequences, SIZES[1]: length}
            row |= {"drop": mean.value, "low": mean.interval[0], "high": mean.interval[1]}
            rows.append(row | {"models": int(chosen.sum())})
    return pd.DataFrame(rows, columns=["target", "metric", *SIZES, "drop", "low", "high", "models"])
