"""Studies."""

from __future__ import annotations

from pathlib import Path

from semprune.errors.base import SempruneError


class EmptyStudyError(SempruneError):
    """A study without anything along one of its axes."""

    def __init__(self, axis: str) -> None:
        """Name the axis."""
        super().__init__(f"the study's `{axis}` is empty: there would be nothing to measure. Name at least one.")


class FailedCellsError(SempruneError):
    """A study some of whose cells failed, while the others were measured."""

    def __init__(self, failed: int, run: Path | str) -> None:
        """Name how many failed and where their errors are."""
        super().__init__(
            f"{failed} cell{'s' if failed > 1 else ''} of the study failed; the table above says why, as does "
            f"{run}/failures.parquet. The tables hold the others; the same command tries the failed ones again."
        )
