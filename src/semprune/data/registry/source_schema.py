"""What a data set's YAML may say about where its rows are: frozen dataclasses, one field per key."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

FileFormat = Literal["arrow", "tsv", "csv", "lines", "folders"]


@dataclass(frozen=True, slots=True)
class HubSource:
    """Where the hub keeps the rows.

    Attributes:
        path: ``organisation/name``, a local folder, or ``json``, ``csv``, ``parquet`` with ``data_files``.
        split: Split that is evaluated; ``train+test`` joins two.
        config: Configuration of the hub data set.
        fit_split: Split for fitting, where the evaluated split reserves no documents for it.
        revision: Branch or commit; ``refs/convert/parquet`` where the hub has only a loading script.
        rename: Hub column -> the name that this registry uses.
        data_files: Path or pattern of the files, on the hub or local; relative to the working directory there.
    """

    path: str
    split: str
    config: str | None = None
    fit_split: str | None = None
    revision: str | None = None
    rename: Mapping[str, str] = field(default_factory=dict)
    data_files: str | None = None


@dataclass(frozen=True, slots=True)
class OfflineSource:
    """Where an offline package keeps the rows.

    Attributes:
        asset: Name of the asset.
        files: Path or glob pattern inside the asset's folder.
        format: ``arrow`` (stream files), ``tsv`` (header, no quoting), ``csv`` (header, quoted), ``lines`` (one row
            per line, columns are the named groups of ``pattern``), or ``folders`` (one text per file, its folder is
            its label; columns ``text``, ``label``, ``id``).
        encoding: Encoding of text files.
        encoding_exceptions: Path ending -> encoding, for single files that differ from the rest.
        rename: Column in the file -> the name that this registry uses.
        fit_files: Path or pattern of the split for fitting, where the evaluated one reserves no documents for it.
        header: Columns of a tsv or csv file that has no header line; what a row has beyond them is left out.
        pattern: Regular expression of a whole line, for ``lines``.
    """

    asset: str
    files: str
    format: FileFormat
    encoding: str = "utf-8"
    encoding_exceptions: Mapping[str, str] = field(default_factory=dict)
    rename: Mapping[str, str] = field(default_factory=dict)
    fit_files: str | None = None
    header: tuple[str, ...] = ()
    pattern: str | None = None
