"""The folder that a pruning run writes: whose it is, what is finished in it, what a killed run left."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from safetensors import SafetensorError

from semprune.errors import CorruptArtefactError, OutputOccupiedError, OutputWriteError, SempruneError
from semprune.io.files import write_json

WORK = ".prune"
"""Subfolder of a run that is not finished."""
RUN = "run.json"
PROVENANCE = "provenance.json"
TAKEN_ON = "unrouted"
"""The setting that an unfinished run may be given later: a block that was finished without it is the same with it."""


class OutputFolder:
    """The output of one run with one group of settings.

    A run that is killed leaves its finished blocks; the same settings go on there, any others are refused. One
    that ends in an error before its first block leaves nothing, since what helps are other settings.

    Attributes:
        path: The folder.
        work: What an unfinished run needs to go on; gone at the end.
        complete: Whether a run with these settings has ended here.
        blocks: What is known of each finished block, in order.

    Args:
        path: The folder; it is made where it does not exist.
        settings: Everything that the result depends on, as plain values.

    Raises:
        OutputOccupiedError: The folder holds something else: other files, or a run with other settings.
        CorruptArtefactError: The unfinished run's record is damaged.
    """

    def __init__(self, path: Path, settings: Mapping[str, Any]) -> None:
        """Look what is there; nothing is written yet."""
        self.path, self.work = path, path / WORK
        self._settings: dict[str, Any] = json.loads(json.dumps(settings))  # as it will be read back
        self.blocks: list[dict[str, Any]] = []
        self.complete = False
        self._look()

    @contextmanager
    def held(self) -> Iterator[None]:
        """Claim the folder, clear what a killed process left half written, and keep other processes out.

        Raises:
            OutputOccupiedError: Another process is at work here, or has been meanwhile.
            OutputWriteError: The folder cannot be made or written.
        """
        with self.writing(self.path):
            self.work.mkdir(parents=True, exist_ok=True)
        try:
            with FileLock(self.work / "lock", timeout=0):
                self._look()
                with self.writing(self.path):
                    self._remove_parts()
                    self._record()
                with self._left_as_found():
                    yield
        except Timeout as error:
            raise OutputOccupiedError(self.path, "is being written by another process") from error

    def finish_block(self, about: Mapping[str, Any]) -> None:
        """Record that the next block is finished: all its files are on the disk."""
        self.blocks.append(dict(about))
        with self.writing(self.work / RUN):
            self._record()

    def close(self, provenance: Mapping[str, Any]) -> None:
        """Write the provenance, which makes the run complete, and remove what only an unfinished run needs."""
        with self.writing(self.path / PROVENANCE):
            write_json(self.path / PROVENANCE, {**provenance, "run": self._settings})
            shutil.rmtree(self.work)
        self.complete = True

    def provenance(self) -> dict[str, Any]:
        """Return the provenance of a complete run."""
        return _read(self.path / PROVENANCE)

    @contextmanager
    def writing(self, path: Path) -> Iterator[None]:
        """Turn what the system says of a failed write into an error with a remedy.

        Raises:
            OutputWriteError: There is no room or no permission.
        """
        try:
            yield
        except (OSError, SafetensorError) as error:
            detail = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
            raise OutputWriteError(path, detail, resumable=bool(self.blocks)) from error

    @contextmanager
    def _left_as_found(self) -> Iterator[None]:
        """Give the folder up where settings turn out impossible before the first block is finished."""
        try:
            yield
        except OutputWriteError:
            raise  # room on the disk helps, and the same command then
        except SempruneError:
            if not self.blocks:
                shutil.rmtree(self.work)
                self.work.mkdir()
                write_json(self.work / RUN, {"settings": None, "blocks": []})
            raise

    def _look(self) -> None:
        if (self.path / PROVENANCE).is_file():
            self._compare(_read(self.path / PROVENANCE).get("run"), "a result")
            self.complete = True
            shutil.rmtree(self.work, ignore_errors=True)  # of a run that was killed between its last two steps
        elif (self.work / RUN).is_file():
            record = _read(self.work / RUN)
            if record != {"settings": None, "blocks": []}:  # as a run leaves it that gave the folder up
                self._compare(record.get("settings"), "an unfinished run", {TAKEN_ON})
            self.blocks = record["blocks"]
        elif self.path.is_dir() and any(entry.name != WORK for entry in self.path.iterdir()):
            raise OutputOccupiedError(self.path, f"is not empty, and no run of semprune prune (no {PROVENANCE})")
        elif self.path.exists() and not self.path.is_dir():
            raise OutputOccupiedError(self.path, "is a file")

    def _compare(self, found: Any, what: str, added: AbstractSet[str] = frozenset()) -> None:
        if not isinstance(found, dict):
            raise OutputOccupiedError(self.path, f"holds {what} of something else than semprune prune")
        taken_on = added - found.keys()
        other = sorted(
            key for key in (self._settings.keys() | found) - taken_on if self._settings.get(key) != found.get(key)
        )
        if other:
            key = other[0]
            detail = f"{key}: there {found.get(key)!r}, here {self._settings.get(key)!r}"
            raise OutputOccupiedError(self.path, f"holds {what} with other settings ({detail})")

    def _record(self) -> None:
        write_json(self.work / RUN, {"settings": self._settings, "blocks": self.blocks})

    def _remove_parts(self) -> None:
        """Remove temporary files of a killed process."""
        for folder in (self.path, self.work):
            for part in folder.glob(".*.tmp"):
                part.unlink()


def _read(path: Path) -> dict[str, Any]:
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, OSError) as error:
        raise CorruptArtefactError(path, str(error), "Delete the folder and run the same command again.") from error
    return content
