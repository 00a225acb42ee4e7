"""Hashes of files that are remembered only where the system vouches that the files are the same (no torch)."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

from semprune.io.files import write_text

SETTLED_NS = 2_000_000_000
"""Age that a file must have before its hash is remembered: the coarsest clock of file systems in use (FAT)."""


def known_hash(store: Path, kind: str, files: Iterable[Path], compute: Callable[[], str]) -> str:
    """Return what is computed of some files, remembered for as long as none of them can have changed.

    Files are told by device, inode, size, time of modification and time of the inode's change, in nanoseconds: the
    last is set by the system at every write and cannot be set by hand. It is as coarse as the clock of the file system,
    so a file that is younger than that is never believed to be the same.

    Args:
        store: Folder of what is remembered; where it cannot be written, that costs time, not the run.
        kind: What is computed, with everything that it depends on beside the files.
        files: The files.
        compute: Reads them; it returns a text of one line, and raises where they are not what they should be.

    Example:
        >>> import os, tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     file = Path(folder) / "x"
        ...     _ = file.write_text("new")
        ...     [known_hash(Path(folder) / "store", "kind", [file], lambda: answer) for answer in ("a", "b")]
        ['a', 'b']
    """
    paths, started = list(files), time.time_ns()
    stamps = [_stamp(path) for path in paths]
    key = hashlib.sha256(json.dumps([kind, stamps]).encode()).hexdigest()
    path = store / f"{key[:32]}.txt"
    with suppress(OSError, ValueError):  # none, or a damaged one
        known, check = path.read_text(encoding="utf-8").split()
        if check == _check(key, known):
            return known
    computed = compute()
    settled = all(max(stamp[-2:]) + SETTLED_NS < started for stamp in stamps)
    if settled and stamps == [_stamp(path) for path in paths]:
        with suppress(OSError):
            write_text(path, f"{computed} {_check(key, computed)}\n")
    return computed


def _stamp(path: Path) -> list[int]:
    status = path.stat()
    return [status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns]


def _check(key: str, known: str) -> str:
    return hashlib.sha256(f"{key}{known}".encode()).hexdigest()
