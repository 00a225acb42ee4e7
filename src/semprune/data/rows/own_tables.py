"""Tables of one's own (CSV, JSON lines, parquet) as data sets: a text, a label, and a wording made of their names.

A table becomes a YAML of the registry, in a folder of the cache that ``SEMPRUNE_REGISTRY`` is given: everything that
takes a data set's name then takes it, in the processes of a study too.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import datasets as hub_client
import yaml

from semprune.assets import cache_folder
from semprune.assets.cache import writable_folder
from semprune.assets.download import sha256_of
from semprune.data.registry import HubSource, dataset_names
from semprune.data.registry.catalogue import OWN_FOLDER, own_folders
from semprune.data.rows.local_files import rows_cache
from semprune.errors import DatasetSchemaError, SettingError
from semprune.errors.base import what_it_says
from semprune.io.files import write_text
from semprune.io.terminal import Terminal

FORMATS: Final = {".csv": "csv", ".json": "json", ".jsonl": "json", ".parquet": "parquet"}
"""Endings of a table's name, and the reader of each."""
MOST_CLASSES: Final = 50
"""Classes that a label may have: each is scored for each row; ours."""
METRICS: Final = ["accuracy", "calibrated_accuracy", "macro_f1", "auroc", "expected_calibration_error"]
"""Those of the package's topic sets."""


@dataclass(frozen=True, slots=True)
class OwnTable:
    """A table that has been read.

    Attributes:
        path: The file.
        rows: Number of rows of each class, by the label as it stands in the file.
        spec: What its YAML says.
    """

    path: Path
    rows: dict[Hashable, int]
    spec: dict[str, Any]

    def __str__(self) -> str:
        """What it is and how it is asked, as it is shown before a run."""
        counts = ", ".join(f"{label} {number}" for label, number in self.rows.items())
        prompt = self.spec["prompts"][0]
        choices = " | ".join(map(repr, prompt["choices"]))
        return f"{self.path}: {sum(self.rows.values())} rows ({counts}), asked as\n  {prompt['context']!r} -> {choices}"


def with_own_tables(names: Sequence[str], text_column: str | None = None, label_column: str | None = None) -> list[str]:
    """Return names of data sets, with each table's path replaced by the name that it has from then on.

    How a table will be asked is shown on standard error, where it is new to the process.

    Args:
        names: Names of data sets; those that end in .csv, .json, .jsonl or .parquet are paths of tables.
        text_column: Column of the texts of all tables; None for ``text``.
        label_column: Column of their labels; None for ``label``.

    Raises:
        DatasetSchemaError: A table cannot be read, lacks a column, holds empty texts or labels, or one class only.
        SettingError: A column is named, and there is no table.

    Example:
        >>> with_own_tables(["sst2", "piqa"])
        ['sst2', 'piqa']
    """
    tables = [name for name in names if Path(name).suffix.lower() in FORMATS]
    for setting, column in (("text_column", text_column), ("label_column", label_column)):
        if column is not None and not tables:
            raise SettingError(setting, column, f"left out where no data set is a file ({', '.join(FORMATS)})")
    known = {name: _register(read_table(name, text_column or "text", label_column or "label")) for name in tables}
    return [known.get(name, name) for name in names]


def read_table(name: str, text_column: str = "text", label_column: str = "label") -> OwnTable:
    """Read a table and say what data set it is.

    Args:
        name: Its path.
        text_column: Column of the texts.
        label_column: Column of the labels.

    Raises:
        DatasetSchemaError: See :func:`with_own_tables`.
    """
    path = Path(name).expanduser().resolve()
    if not path.is_file():
        raise DatasetSchemaError(name, "there is no such file", "Paths are seen from where the command runs.")
    source = HubSource(FORMATS[path.suffix.lower()], "train", data_files=str(path))
    try:
        found = hub_client.load_dataset(
            source.path, data_files=source.data_files, split=source.split, cache_dir=rows_cache(source)
        )
    except Exception as error:  # as in semprune.data.rows.sources
        first: BaseException = error
        while first.__cause__ is not None:
            first = first.__cause__
        raise DatasetSchemaError(name, what_it_says(first), "Is it complete, in UTF-8, with a header?") from error
    columns = {"text": text_column, "label": label_column}
    for kind, column in columns.items():
        if column not in found.column_names:
            remedy = f"Name one of them: --{kind} COLUMN, or {kind}_column= from Python."
            raise DatasetSchemaError(
                name, f"there is no column '{column}'; the columns are {', '.join(found.column_names)}", remedy
            )
    _check_texts(name, text_column, found[text_column])
    rows = _classes(name, label_column, found[label_column])
    return OwnTable(path, rows, _spec(path, columns, list(rows)))


def _check_texts(name: str, column: str, texts: Sequence[Any]) -> None:
    empty = [place for place, text in enumerate(texts, 1) if not isinstance(text, str) or not text.strip()]
    if empty:
        detail = f"column '{column}' holds no text in {len(empty)} of {len(texts)} rows, first in row {empty[0]}"
        raise DatasetSchemaError(name, detail, "Take these rows out, or name another column as the text.")


def _classes(name: str, column: str, labels: Sequence[Any]) -> dict[Hashable, int]:
    """Rows of each class, in the order of the labels' names."""
    missing = [place for place, label in enumerate(labels, 1) if label is None or not str(label).strip()]
    if missing:
        detail = f"column '{column}' is empty in {len(missing)} of {len(labels)} rows, first in row {missing[0]}"
        raise DatasetSchemaError(name, detail, "Take these rows out (NA, null and None are read as empty).")
    counts = Counter(map(_plain, labels))
    if len(counts) < 2:
        found = f"one class only, {next(iter(counts))!r}" if counts else "no row"
        raise DatasetSchemaError(name, f"column '{column}' holds {found}", "Two classes or more are told apart.")
    if len(counts) > MOST_CLASSES:
        detail = f"column '{column}' has {len(counts)} different values, more than {MOST_CLASSES}"
        raise DatasetSchemaError(name, detail, "Is it the label? Name another with --label COLUMN.")
    return dict(sorted(counts.items(), key=lambda entry: str(entry[0])))


def _plain(label: Any) -> Hashable:
    return label if isinstance(label, bool | int | float | str) else str(label)


def _spec(path: Path, columns: dict[str, str], labels: list[Hashable]) -> dict[str, Any]:
    words = [re.sub(r"[\s_-]+", " ", str(label)).strip() for label in labels]
    if len(set(words)) < len(words):
        words = [str(label) for label in labels]
    text, label = (
        column.replace("_", " ").capitalize().replace("{", "{{").replace("}", "}}") for column in columns.values()
    )
    return {
        "name": _name(path),
        "family": "topic",
        "about": f"own table {path.name}, sha256 {sha256_of(path)}",  # other content is another declaration
        "licence": f"own file {path.name}",
        "hub": {
            "path": FORMATS[path.suffix.lower()],
            "data_files": str(path),
            "split": "train",
            "rename": {column: kind for kind, column in columns.items()},
        },
        "columns": ["text", "label"],
        "text": ["text"],
        "labels": {"column": "label", "values": labels, "classes": _class_names(labels)},
        "prompts": [
            {
                "name": "columns",
                "context": f"{text}: {{text}}\n{label}:",
                "choices": [" " + word.replace("{", "{{").replace("}", "}}") for word in words],
            }
        ],
        "metrics": METRICS,
    }


def _class_names(labels: list[Hashable]) -> list[str]:
    names = [re.sub(r"\W+", "_", str(label)).strip("_").lower() for label in labels]
    return names if len(set(names)) == len(names) and all(names) else [f"class_{place}" for place in range(len(labels))]


def _name(path: Path) -> str:
    """The file's name in the registry's letters; with its ending where the package has a data set of that name."""
    stem, ending = (re.sub(r"\W+", "_", part).strip("_").lower() for part in (path.stem, path.suffix))
    stem = stem or "table"
    others = {name for name in dataset_names() if not any(_holds(folder, name) for folder in own_folders())}
    return f"{stem}_{ending}" if stem in others else stem


def _tables_folder() -> Path:
    return cache_folder() / "tables"


def _holds(folder: Path, name: str) -> bool:
    """Whether a folder of the registry is a table's, of this name."""
    return folder.parent == _tables_folder() and (folder / f"{name}.yaml").is_file()


def _register(table: OwnTable) -> str:
    """Give a table's YAML to the registry, instead of an earlier one of the same name; return its name."""
    name, text = str(table.spec["name"]), yaml.safe_dump(table.spec, sort_keys=False, allow_unicode=True)
    folder = _tables_folder() / hashlib.sha256(text.encode()).hexdigest()[:16]
    kept = [place for place in own_folders() if place == folder or not _holds(place, name)]
    if folder not in kept:
        write_text(writable_folder(folder) / f"{name}.yaml", text)
        os.environ[OWN_FOLDER] = os.pathsep.join(map(str, [*kept, folder]))
        console = Terminal(stderr=True)
        console.print(str(table), soft_wrap=True)
        console.print(
            f"  data set '{name}'; to change the wording, edit a copy of {folder}/{name}.yaml", soft_wrap=True
        )
    return name
