"""Atomic files (no torch here): written beside their place, flushed to the disk, then renamed."""

from __future__ import annotations

import glob
import json
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq


@contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """A temporary path that becomes ``path`` when the block ends well, and vanishes when it does not.

    What a killed process left beside ``path`` vanishes too; each process has a temporary of its own.

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
        if not _is_running(int(left.name.split(".")[-2])):
            left.unlink(missing_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        yield temporary
        with temporary.open("rb") as written:
            os.fsync(written.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _is_running(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # another user's
        return True
    return True


def write_parquet(path: Path, table: pd.DataFrame) -> None:
    """Write a table without an index."""
    with atomic(path) as temporary:
        table.to_parquet(temporary, index=False)


def write_parquet_parts(path: Path, parts: Iterable[pd.DataFrame]) -> None:
    """Write the rows of several tables as one, each as row groups of its own: only one is in memory at a time.

    All have the columns and types of the first.
    """
    rows = (pa.Table.from_pandas(part, preserve_index=False) for part in parts)
    first = next(rows)
    with atomic(path) as temporary, pq.ParquetWriter(temporary, first.schema) as writer:
        for table in chain([first], rows):
            writer.write_table(table)


def write_text(path: Path, text: str) -> None:
    """Write text as UTF-8."""
    with atomic(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, value: Any) -> None:
    """Write a value with sorted keys."""
    write_text(path, json.dumps(value, indent=2, sort_keys=True) + "\n")
