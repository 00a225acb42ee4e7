"""Files of rows: Arrow streams, tab- and comma-separated text, lines, folders of texts. One function per format."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa

from semprune.data.registry import OfflineSource
from semprune.errors import DatasetSchemaError

Row = dict[str, Any]


def read_files(dataset: str, source: OfflineSource, folder: Path, *, fit: bool = False) -> list[Row]:
    """Read all rows of an offline source.

    Args:
        dataset: Name of the data set, for messages.
        source: What to read and how.
        folder: Folder of the asset.
        fit: Read ``fit_files`` instead of ``files``.

    Returns:
        The rows, in the order of the sorted paths; text of tsv, csv and folders is stripped of outer blanks.

    Raises:
        DatasetSchemaError: If no file matches, a file is not in the declared encoding, or a line is not as declared.
    """
    key, files = ("fit_files", source.fit_files or "") if fit else ("files", source.files)
    paths = sorted(folder.glob(files)) if files else []
    if not paths:
        raise DatasetSchemaError(dataset, f"no file matches '{files}'", f"Correct `offline.{key}`.")
    read = READERS[source.format]
    return [row for path in paths for row in read(dataset, source, path, _text_of(dataset, source, path))]


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


def _arrow(dataset: str, source: OfflineSource, path: Path, text: str) -> list[Row]:
    """An Arrow stream, as ``datasets`` writes it."""
    with pa.OSFile(str(path)) as stream, pa.ipc.open_stream(stream) as reader:
        rows: list[Row] = reader.read_all().to_pylist()
    return rows


def _tsv(dataset: str, source: OfflineSource, path: Path, text: str) -> list[Row]:
    """A header and rows divided by tabs; quotes mean nothing."""
    lines = io.StringIO(text, newline=None)
    return _table(csv.DictReader(lines, source.header or None, delimiter="\t", quoting=csv.QUOTE_NONE))


def _csv(dataset: str, source: OfflineSource, path: Path, text: str) -> list[Row]:
    """A header and rows divided by commas; quoted text may hold line breaks."""
    return _table(csv.DictReader(io.StringIO(text, newline=""), source.header or None))


def _table(reader: csv.DictReader[str]) -> list[Row]:
    """Rows without what stands beyond the header's columns, which the reader puts under None."""
    return [
        {key: value.strip() if isinstance(value, str) else value for key, value in row.items() if key is not None}
        for row in reader
    ]


def _lines(dataset: str, source: OfflineSource, path: Path, text: str) -> list[Row]:
    """One row per line that is not blank: the named groups of the pattern."""
    rows: list[Row] = []
    for number, line in enumerate(io.StringIO(text, newline=None), 1):
        found = re.fullmatch(source.pattern or "", line.rstrip("\n"))
        if found is None and line.strip():
            raise DatasetSchemaError(
                dataset, f"{path.name}, line {number} does not match: {line!r}", "Correct `offline.pattern`."
            )
        if found is not None and line.strip():
            rows.append({key: value.strip() for key, value in found.groupdict(default="").items()})
    return rows


def _folders(dataset: str, source: OfflineSource, path: Path, text: str) -> list[Row]:
    """One text; the folder is its label."""
    return [{"text": text.strip(), "label": path.parent.name, "id": f"{path.parent.name}/{path.name}"}]


READERS: dict[str, Callable[[str, OfflineSource, Path, str], list[Row]]] = {
    "arrow": _arrow,
    "tsv": _tsv,
    "csv": _csv,
    "lines": _lines,
    "folders": _folders,
}
