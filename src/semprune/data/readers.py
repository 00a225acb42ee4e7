"""Files of rows: Arrow streams, tab- and comma-separated text, folders of texts. One function per format."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa

from semprune.data.registry import OfflineSource
from semprune.errors import DatasetSchemaError

Row = dict[str, Any]


def read_files(dataset: str, source: OfflineSource, folder: Path) -> list[Row]:
    """Read all rows of an offline source.

    Args:
        dataset: Name of the data set, for messages.
        source: What to read and how.
        folder: Folder of the asset.

    Returns:
        The rows, in the order of the sorted paths; text of tsv, csv and folders is stripped of outer blanks.

    Raises:
        DatasetSchemaError: If no file matches, or a file is not in the declared encoding.
    """
    paths = sorted(folder.glob(source.files))
    if not paths:
        raise DatasetSchemaError(dataset, f"no file matches '{source.files}'", "Correct `offline.files`.")
    read = READERS[source.format]
    return [row for path in paths for row in read(path, _text_of(dataset, source, path))]


def _text_of(dataset: str, source: OfflineSource, path: Path) -> str:
    """Decoded text of a file; empty for Arrow, which is no text."""
    if source.format == "arrow":
        return ""
    encoding = next(
        (code for ending, code in source.encoding_exceptions.items() if path.as_posix().endswith(f"/{ending}")),
        source.encoding,
    )
    try:
        return path.read_bytes().decode(encoding)
    except UnicodeDecodeError as error:
        raise DatasetSchemaError(
            dataset, f"{path.name} is not {encoding} ({error})", "Declare its `encoding` or `encoding_exceptions`."
        ) from error


def _arrow(path: Path, text: str) -> list[Row]:
    """An Arrow stream, as ``datasets`` writes it."""
    with pa.OSFile(str(path)) as stream, pa.ipc.open_stream(stream) as reader:
        rows: list[Row] = reader.read_all().to_pylist()
    return rows


def _tsv(path: Path, text: str) -> list[Row]:
    """A header and rows divided by tabs; quotes mean nothing."""
    return _table(csv.DictReader(io.StringIO(text, newline=None), delimiter="\t", quoting=csv.QUOTE_NONE))


def _csv(path: Path, text: str) -> list[Row]:
    """A header and rows divided by commas; quoted text may hold line breaks."""
    return _table(csv.DictReader(io.StringIO(text, newline="")))


def _table(reader: csv.DictReader[str]) -> list[Row]:
    return [{key: value.strip() if isinstance(value, str) else value for key, value in row.items()} for row in reader]


def _folders(path: Path, text: str) -> list[Row]:
    """One text; the folder is its label."""
    return [{"text": text.strip(), "label": path.parent.name, "id": f"{path.parent.name}/{path.name}"}]


READERS: dict[str, Callable[[Path, str], list[Row]]] = {"arrow": _arrow, "tsv": _tsv, "csv": _csv, "folders": _folders}
