"""Reading and writing the artefacts of a run folder, each checked against its declaration."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from semprune.artefacts.tables import TABLES
from semprune.errors import CorruptArtefactError
from semprune.errors.base import what_it_says
from semprune.io.files import write_parquet, write_parquet_parts
from semprune.io.seals import check_parquet

RERUN = "Run `semprune study` into this folder again: finished cells are reused, missing artefacts are written."


def write_table(folder: Path, name: str, table: pd.DataFrame) -> None:
    """Write a table of :data:`~semprune.artefacts.tables.TABLES` atomically.

    Raises:
        CorruptArtefactError: It lacks a column that its readers need; nothing is written.
    """
    write_parquet(folder / TABLES[name].file, _complete(folder, name, table))


def write_parts(folder: Path, name: str, parts: Iterable[pd.DataFrame]) -> None:
    """Write a table's rows part by part, atomically: of a large one only a part is in memory at a time.

    Args:
        folder: The run folder.
        name: Of the table.
        parts: Its rows, at least one part; all have the columns and types of the first.

    Raises:
        CorruptArtefactError: A part lacks a column that its readers need; nothing is written.
    """
    write_parquet_parts(folder / TABLES[name].file, (_complete(folder, name, part) for part in parts))


def _complete(folder: Path, name: str, table: pd.DataFrame) -> pd.DataFrame:
    missing = [column for column in TABLES[name].columns if column not in table]
    if missing:
        raise CorruptArtefactError(
            folder / TABLES[name].file, f"it would lack {', '.join(missing)}", "It was not written."
        )
    return table


def read_table(folder: Path, name: str) -> pd.DataFrame | None:
    """Read a table of :data:`~semprune.artefacts.tables.TABLES` and check its columns; None where there is no file.

    Raises:
        CorruptArtefactError: If it cannot be read, or its columns are not those of its declaration.
    """
    declared = TABLES[name]
    path = folder / declared.file
    if not path.exists():
        return None
    with reading_parquet(path):
        check_parquet(path)
        table = pq.read_table(path)
        newer = {column: kind for column, kind in declared.newer.items() if column in table.column_names}
        schema = declared.columns | newer
        faults = [fault for column, kind in schema.items() if (fault := column_fault(table, column, kind))]
        if faults:
            raise CorruptArtefactError(path, "; ".join(faults), RERUN)
        frame: pd.DataFrame = table.select(list(schema)).to_pandas()
    return frame


@contextmanager
def reading_parquet(path: Path) -> Iterator[None]:
    """Turn whatever a reader makes of damaged bytes into an error that names the file.

    Raises:
        CorruptArtefactError: The block raised anything.
    """
    try:
        yield
    except CorruptArtefactError:
        raise
    except Exception as error:  # readers pass on whatever damaged bytes make them do
        raise CorruptArtefactError(path, f"not a parquet file ({what_it_says(error)})", RERUN) from error


def read_provenance(folder: Path) -> dict[str, Any] | None:
    """Read ``provenance.json``; None where there is no such file.

    Raises:
        CorruptArtefactError: If it is not a JSON object.
    """
    path = folder / "provenance.json"
    if not path.exists():
        return None
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise CorruptArtefactError(path, f"not JSON ({what_it_says(error)})", RERUN) from error
    if not isinstance(content, dict):
        raise CorruptArtefactError(path, f"a JSON {type(content).__name__} where an object belongs", RERUN)
    return content


def column_fault(table: pa.Table, column: str, kind: str) -> str | None:
    """What is wrong with one column of a table; None where it is as it should be.

    Args:
        table: The table that was read.
        column: Name of the column.
        kind: As in :class:`semprune.artefacts.tables.RunTable`.
    """
    if table.column_names.count(column) != 1:
        return f"column '{column}' is missing" if column not in table.column_names else f"column '{column}' is double"
    stored = table.schema.field(column).type
    stored = stored.value_type if pa.types.is_dictionary(stored) else stored
    if not _fits(stored, kind):
        return f"column '{column}' holds {stored}, not {kind}"
    if kind != "number" and table.column(column).null_count:
        return f"column '{column}' has empty entries"
    return None


def _fits(stored: pa.DataType, kind: str) -> bool:
    if kind == "text":
        return bool(pa.types.is_string(stored) or pa.types.is_large_string(stored) or pa.types.is_string_view(stored))
    if kind == "flag":
        return bool(pa.types.is_boolean(stored))
    if kind == "numbers":
        is_list = pa.types.is_list(stored) or pa.types.is_large_list(stored) or pa.types.is_fixed_size_list(stored)
        return bool(is_list and _fits(stored.value_type, "number"))
    return bool(pa.types.is_integer(stored) or (kind == "number" and pa.types.is_floating(stored)))


def records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows of a frame as dictionaries by column name.

    Example:
        >>> records(pd.DataFrame({"a": [1], "b": ["x"]}))
        [{'a': 1, 'b': 'x'}]
    """
    return [{str(column): value for column, value in row.items()} for row in frame.to_dict("records")]
