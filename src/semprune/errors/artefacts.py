"""Files that are read, outputs that are written, studies."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from semprune.errors.base import SempruneError


class CorruptArtefactError(SempruneError):
    """A checkpoint, association, mask or results file that cannot be read as what it should be."""

    def __init__(self, path: Path | str, detail: str, remedy: str) -> None:
        """Name the file, what is wrong with it and what to do."""
        super().__init__(f"{path} is not readable: {detail}. {remedy}")


class BackboneMismatchError(SempruneError):
    """An artefact that was made with another backbone."""

    def __init__(self, artefact: str, expected: str, got: str) -> None:
        """Name both backbones."""
        super().__init__(
            f"{artefact} was made with backbone {got}, but this run uses {expected}. "
            "Pass the backbone it was made with (--backbone.name), or fit again for this one."
        )


class OutputOccupiedError(SempruneError):
    """An output folder that holds something else than what this run would write there."""

    def __init__(self, folder: Path, detail: str) -> None:
        """Name the folder and what is in it."""
        super().__init__(
            f"output folder {folder} {detail}. Nothing was changed in it: pass another --output, or empty it yourself."
        )


class OutputWriteError(SempruneError):
    """An output that could not be written: no room, no permission.

    Example:
        >>> from pathlib import Path
        >>> raise OutputWriteError(Path("out"), "No space left on device", resumable=True)
        Traceback (most recent call last):
        ...
        semprune.errors.OutputWriteError: could not write out: No space left on device. Free some space or make the \
folder writable, then run the same command again: it goes on after the last finished block.
    """

    def __init__(self, path: Path, detail: str, *, resumable: bool = False) -> None:
        """Name the path and what the system said."""
        after = "it goes on after the last finished block" if resumable else "nothing was done yet"
        super().__init__(
            f"could not write {path}: {detail}. Free some space or make the folder writable, "
            f"then run the same command again: {after}."
        )


class CardMismatchError(SempruneError):
    """A pruned folder that a run says nothing of."""

    def __init__(self, folder: Path, detail: str, run: Path, known: str) -> None:
        """Name the folder, how it was pruned, the run and what that measured."""
        super().__init__(
            f"{folder} was pruned otherwise than anything in {run}: {detail}; the run measured {known}. Prune with the "
            "settings of the run (method, sparsity or pattern; calibration name, sequences, length, seed), or study it."
        )


class NothingInCommonError(SempruneError):
    """Two runs without models that could be compared.

    Example:
        >>> raise NothingInCommonError(["Wanda 50 %", "Wanda 60 %"], ["RIA 50 %"])
        Traceback (most recent call last):
        ...
        semprune.errors.NothingInCommonError: no pruned models of the two runs go together: the first has Wanda 50 %, \
Wanda 60 %, the second RIA 50 %. Name the two to compare: --model_a "Wanda 50 %" --model_b "RIA 50 %".
    """

    def __init__(self, first: Sequence[str], second: Sequence[str]) -> None:
        """Name the models of both."""
        listed = [", ".join(labels) or "none" for labels in (first, second)]
        remedy = "Prune in both."
        if first and second:
            remedy = f'Name the two to compare: --model_a "{first[0]}" --model_b "{second[0]}".'
        super().__init__(
            f"no pruned models of the two runs go together: the first has {listed[0]}, the second {listed[1]}. {remedy}"
        )


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
