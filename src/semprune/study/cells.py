"""Cells of a study: which pruned models there are, and what names each one."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from semprune.pruning import find_method
from semprune.pruning.pattern import Pattern
from semprune.study.config import StudyConfig

UNSTRUCTURED = "unstructured"
GRID = ("output", "methods", "sparsities", "patterns", "calibrations", "seeds")  # say which cells there are


@dataclass(frozen=True)
class Cell:
    """One model of the grid.

    Attributes:
        method: ``dense`` or a pruning method.
        sparsity: Share of weights removed.
        calibration: Calibration set, empty where none is looked at.
        seed: Seed of the calibration.
        pattern: ``unstructured``, or N:M.
    """

    method: str
    sparsity: float = 0.0
    calibration: str = ""
    seed: int = 0
    pattern: str = UNSTRUCTURED

    @property
    def columns(self) -> dict[str, Any]:
        """The cell's columns in every table."""
        values = asdict(self)
        return {"method": values.pop("method"), "pattern": values.pop("pattern"), **values}

    @property
    def label(self) -> str:
        """Words for progress and folder names."""
        share = f"{self.sparsity:g}" if self.pattern == UNSTRUCTURED else self.pattern.replace(":", "of")
        parts = [self.method, share, self.calibration, self.seed if self.calibration else ""]
        return "dense" if self.method == "dense" else "-".join(str(part) for part in parts if part != "")

    @property
    def settings(self) -> dict[str, Any]:
        """What a pruning callback is given."""
        return {"sparsity": self.sparsity} if self.pattern == UNSTRUCTURED else {"pattern": self.pattern}

    def key(self, config: StudyConfig, fingerprint: str) -> str:
        """Folder name: readable, then a hash of everything the cell's figures depend on."""
        relevant = {name: value for name, value in asdict(config).items() if name not in GRID}
        if not config.losses:
            del relevant["losses"]  # without any, cells are those of studies from before there was a choice
        content = json.dumps([asdict(self), relevant, fingerprint], sort_keys=True)
        return f"{self.label}-{hashlib.sha256(content.encode()).hexdigest()[:12]}"


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
        shares = [(sparsity, UNSTRUCTURED) for sparsity in config.sparsities]
        for sparsity, pattern in shares + [(Pattern.parse(pattern).sparsity, pattern) for pattern in config.patterns]:
            for calibration in config.calibrations if calibrated else [""]:
                for seed in config.seeds if calibrated else config.seeds[:1]:
                    yield Cell(method, sparsity, calibration, seed, pattern)
