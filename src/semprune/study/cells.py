"""Cells of a study: which pruned models there are, and what names each one."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from semprune.pruning import find_method
from semprune.study.config import StudyConfig


@dataclass(frozen=True)
class Cell:
    """One model of the grid.

    Attributes:
        method: ``dense`` or a pruning method.
        sparsity: Share of weights removed.
        calibration: Calibration set, empty where none is looked at.
        seed: Seed of the calibration.
    """

    method: str
    sparsity: float = 0.0
    calibration: str = ""
    seed: int = 0

    @property
    def columns(self) -> dict[str, Any]:
        """The cell's columns in every table."""
        return {"method": self.method, "pattern": "unstructured", **_without(asdict(self), "method")}

    def key(self, config: StudyConfig, fingerprint: str) -> str:
        """Folder name: readable, then a hash of everything the cell's figures depend on."""
        relevant = _without(asdict(config), "output", "methods", "sparsities", "calibrations", "seeds")
        content = json.dumps([asdict(self), relevant, fingerprint], sort_keys=True)
        label = "-".join(str(part) for part in asdict(self).values() if part != "")
        return f"{label}-{hashlib.sha256(content.encode()).hexdigest()[:12]}"


def _without(values: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in values.items() if name not in names}


def pruned_cells(config: StudyConfig) -> Iterator[Cell]:
    """Every pruned model of a study; methods that look at no data have one calibration, none.

    Raises:
        UnknownMethodError: A method is not known.

    Example:
        >>> [cell.method for cell in pruned_cells(StudyConfig(seeds=[0, 1]))]
        ['magnitude', 'wanda', 'wanda']
    """
    for method in config.methods:
        calibrated = find_method(method).needs_statistics
        for sparsity in config.sparsities:
            for calibration in config.calibrations if calibrated else [""]:
                for seed in config.seeds if calibrated else config.seeds[:1]:
                    yield Cell(method, sparsity, calibration, seed)
