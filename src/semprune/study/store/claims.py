"""Claims: which process computes a cell. A claim is a file lock, which the system drops when its owner dies."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout


@contextmanager
def claim(path: Path, *, wait: bool = False) -> Iterator[bool]:
    """Try to be the only process that works at something.

    The lock is the operating system's (on network file systems their own, as NFS 4 has it), not the file's existence:
    the claim of a killed process is free at once, and no clock or heartbeat has to be believed.

    Args:
        path: Lock file; it stays behind, empty.
        wait: Wait until the claim is free.

    Yields:
        Whether the claim is this process's, until the block ends.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder, claim(Path(folder) / "cell.lock") as mine:
        ...     with claim(Path(folder) / "cell.lock") as again:
        ...         mine, again
        (True, False)
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path)
    try:
        lock.acquire(timeout=-1 if wait else 0)
    except Timeout:
        yield False
        return
    try:
        yield True
    finally:
        lock.release()
