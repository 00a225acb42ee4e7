"""A cell: one model of a grid, dense or pruned, and the columns that name it in every table."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import pandas as pd

UNSTRUCTURED = "unstructured"
DRAW = ("calibration", "calibration_sequences", "calibration_length", "seed")
"""Columns that say which calibration sequences were looked at."""

SETTING = {
    "method": "text", "pattern": "text", "sparsity": "number", "calibration": "text",
    "calibration_sequences": "integer", "calibration_length": "integer", "seed": "integer",
}  # fmt: skip
"""Columns that say how a backbone was pruned, each with its kind."""

CELL = ["backbone", *SETTING, "calibrated"]
"""All columns that name a cell. ``calibrated``: whether the method looked at the calibration that its row names."""


KEEPING = " keeping "
"""Stands between a calibration set and what a pruning protects beside it."""


def guided_calibration(calibration: str, protected: str) -> str:
    """Return the name of a calibration that protects something.

    Example:
        >>> guided_calibration("c4", "sentiment*2")
        'c4 keeping sentiment*2'
    """
    return f"{calibration}{KEEPING}{protected}"


def split_calibration(calibration: str) -> tuple[str, str]:
    """Return the calibration set or mixture, and what is protected beside it: empty for nothing.

    Example:
        >>> split_calibration("c4 keeping sentiment*2"), split_calibration("c4")
        (('c4', 'sentiment*2'), ('c4', ''))
    """
    text, _, protected = calibration.partition(KEEPING)
    return text, protected


def is_guided(calibrations: pd.Series) -> pd.Series:
    """Where something is protected beside a calibration.

    Example:
        >>> is_guided(pd.Series(["c4", "c4 keeping sentiment"])).tolist()
        [False, True]
    """
    return calibrations.str.contains(KEEPING, regex=False).astype(bool)


@dataclass(frozen=True)
class Cell:
    """One model of the grid.

    Attributes:
        method: ``dense`` or a pruning method.
        sparsity: Share of weights removed.
        calibration: Calibration set, and what is protected beside it; empty where none is looked at.
        seed: Seed of the calibration.
        pattern: ``unstructured``, or N:M.
        sequences: Calibration sequences, 0 where none are looked at.
        length: Tokens of each.
    """

    method: str
    sparsity: float = 0.0
    calibration: str = ""
    seed: int = 0
    pattern: str = UNSTRUCTURED
    sequences: int = 0
    length: int = 0

    @property
    def columns(self) -> dict[str, Any]:
        """The columns of :data:`SETTING`, in the order in which tables are stored."""
        return {
            "method": self.method, "pattern": self.pattern, "sparsity": self.sparsity, "calibration": self.calibration,
            "seed": self.seed, "calibration_sequences": self.sequences, "calibration_length": self.length,
        }  # fmt: skip

    @property
    def label(self) -> str:
        """Words for progress and folder names.

        Example:
            >>> Cell("wanda", 0.5, "c4*0.5+wiki*0.5", 1, sequences=16, length=256).label
            'wanda-0.5-c4_0.5_wiki_0.5-16x256-1'
        """
        if self.method == "dense":
            return "dense"
        share = f"{self.sparsity:g}" if self.pattern == UNSTRUCTURED else self.pattern.replace(":", "of")
        data = f"-{self.calibration}-{self.sequences}x{self.length}-{self.seed}" if self.calibration else ""
        return re.sub(r"[^\w.-]", "_", f"{self.method}-{share}{data}")

    @property
    def settings(self) -> dict[str, Any]:
        """What pruning is given."""
        return {"sparsity": self.sparsity} if self.pattern == UNSTRUCTURED else {"pattern": self.pattern}

    @property
    def draw(self) -> tuple[str, int, int, int]:
        """Which calibration sequences, as :data:`DRAW`: cells with the same ones share dense statistics."""
        return self.calibration, self.sequences, self.length, self.seed


DENSE = Cell("dense")


def with_cell(table: pd.DataFrame, cell: Cell, backbone: str, *, calibrated: bool | None = None) -> pd.DataFrame:
    """Put the columns of a cell first, instead of those that the table may have.

    Args:
        table: What was measured of the cell.
        cell: As which it is stated.
        backbone: Fingerprint of the model.
        calibrated: Whether the method looked at the calibration; None where the cell names only what was looked at.

    Example:
        >>> with_cell(pd.DataFrame({"value": [0.5]}), DENSE, "b")[["backbone", "method", "calibrated"]].values.tolist()
        [['b', 'dense', False]]
    """
    looked = bool(cell.calibration) if calibrated is None else calibrated
    keys: dict[str, Any] = {"backbone": backbone, **cell.columns, "calibrated": looked}
    own = table.drop(columns=[column for column in keys if column in table])
    return pd.DataFrame(keys, index=own.index).join(own)
