"""Atomic files (no torch here): written beside their place, flushed to the disk, then renamed."""

from __future__ import annotations

import fcntl
import glob
import json
import os
import secrets
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from itertools import chain
from pathlib import Path
from typing import IO, Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from semprune.io.seals import HOLE, PARQUET_KEY, check_parquet, seal_parquet


@contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """A temporary file that becomes ``path`` when the block ends well, and vanishes when it does not.

    What a killed process left beside ``path`` vanishes too. Each temporary has a random name and is locked by whoever
    writes it: the system frees a dead writer's lock, whatever its number, its container or its machine. So write into
    the file, and put no other one in its place. Where the file system has no locks, left-overs stay.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     with atomic(Path(folder) / "x.txt") as temporary:
        ...         _ = temporary.write_text("done")
        ...     (Path(folder) / "x.txt").read_text()
        'done'
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    for left in path.parent.glob(f".{glob.escape(path.name)}.*.tmp"):
        _remove_unless_written(left)
    temporary, owner = _own_temporary(path)
    try:
        yield temporary
        with temporary.open("rb") as written:
            assert os.path.samestat(os.fstat(written.fileno()), os.fstat(owner.fileno())), "another file in its place"
            os.fsync(written.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
        owner.close()


def _own_temporary(path: Path) -> tuple[Path, IO[bytes]]:
    """Make an empty file that is locked as long as the handle that comes with it is open."""
    while True:
        temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}.tmp")
        owner = temporary.open("xb")
        with suppress(OSError):  # a file system without locks
            fcntl.flock(owner, fcntl.LOCK_EX)
        if os.fstat(owner.fileno()).st_nlink:
            return temporary, owner
        owner.close()  # another process took it for a left-over before it was locked


def _remove_unless_written(left: Path) -> None:
    with suppress(OSError), left.open("r+b") as file:  # gone, another user's, being written, or no locks here
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        left.unlink()


def write_parquet(path: Path, table: pd.DataFrame) -> None:
    """Write a table without an index, with a hash of the file in its footer."""
    write_parquet_parts(path, [table])


def read_parquet(path: Path) -> pd.DataFrame:
    """Read a table and check it against the hash in the file.

    Raises:
        OSError, ValueError, pyarrow.ArrowException: It cannot be read, or is not what was written.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write_parquet(Path(folder) / "x.parquet", pd.DataFrame({"a": [1, 2]}))
        ...     read_parquet(Path(folder) / "x.parquet")["a"].tolist()
        [1, 2]
    """
    check_parquet(path)
    return pd.read_parquet(path)


def write_parquet_parts(path: Path, parts: Iterable[pd.DataFrame]) -> None:
    """Write the rows of several tables as one, each as row groups of its own: only one is in memory at a time.

    All have the columns and types of the first. As :func:`write_parquet`, with a hash of the file.
    """
    rows = (pa.Table.from_pandas(part, preserve_index=False) for part in parts)
    first = next(rows)
    with atomic(path) as temporary:
        with pq.ParquetWriter(temporary, first.schema) as writer:
            for table in chain([first], rows):
                writer.write_table(table)
            writer.add_key_value_metadata({PARQUET_KEY.decode(): HOLE.decode()})
        seal_parquet(temporary)


def write_text(path: Path, text: str) -> None:
    """Write text as UTF-8."""
    with atomic(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, value: Any) -> None:
    """Write a value with sorted keys."""
    write_text(path, json.dumps(value, indent=2, sort_keys=True) + "\n")
