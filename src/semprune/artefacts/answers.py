"""Every model's answers to every item, read batch by batch into arrays: a study has millions of them.

``predictions.parquet`` names model, data set, prompt and document in each of its rows. Here each is named once: an item
is a column, a model a row, and of a score only the number is kept.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from jaxtyping import Float, Int

from semprune.artefacts.cell import CELL
from semprune.artefacts.dataset_answers import DatasetAnswers, DatasetBuilder, Names
from semprune.artefacts.files import RERUN, column_fault, reading_parquet
from semprune.artefacts.tables import TABLES
from semprune.errors import CorruptArtefactError
from semprune.io.seals import check_parquet

_ROWS = 65536  # read at a time: 10 MB
_TABLE = TABLES["predictions"]
_TEXTS = [column for column, kind in _TABLE.columns.items() if kind == "text"]
_CELL_COLUMNS = [column for column in CELL if column != "calibrated"]


@dataclass(frozen=True, slots=True)
class Answers:
    """The answers of a run.

    Attributes:
        models: The models, one row each, with the columns of :data:`semprune.artefacts.cell.CELL`, in the table's
            order. One that looked at no calibration is there once, with none, however often the table states it.
        datasets: What they answered, in the table's order.
    """

    models: pd.DataFrame
    datasets: tuple[DatasetAnswers, ...]

    @classmethod
    def of(cls, table: pd.DataFrame) -> Answers:
        """Those of a table of predictions in memory.

        Raises:
            ValueError: An item has two labels.

        Example:
            >>> keys = {"backbone": "b", "method": ["dense", "wanda"], "pattern": "unstructured", "sparsity": [0, 0.5],
            ...         "calibration": ["", "c4"], "calibration_sequences": [0, 8], "calibration_length": [0, 64],
            ...         "seed": 0, "dataset": "toy", "prompt": "ask", "item_id": "0", "document_id": "0", "label": 1}
            >>> keys |= {"prediction": [1, 0], "scores": [[-2.0, -1.0], [-1.0, -2.0]]}
            >>> answers = Answers.of(pd.DataFrame(keys))
            >>> answers.models["method"].tolist(), answers.datasets[0].right.tolist()
            (['dense', 'wanda'], [[1], [0]])
        """
        return gathered(pa.Table.from_pandas(table, preserve_index=False).to_batches(_ROWS))


def read_answers(folder: Path, ranked: Collection[str] | None = None) -> Answers | None:
    """Read ``predictions.parquet`` of a run folder; None where there is no such file.

    Args:
        folder: The run folder.
        ranked: Data sets whose scores are kept; None keeps all.

    Raises:
        CorruptArtefactError: If it cannot be read, its columns are not those of its declaration, or it contradicts
            itself.
    """
    path = folder / _TABLE.file
    if not path.exists():
        return None
    with reading_parquet(path):
        check_parquet(path)
        return gathered(_checked_batches(path), ranked)


def _checked_batches(path: Path) -> Iterator[pa.RecordBatch]:
    """The declared columns; texts as numbers of distinct ones, which is how they are stored."""
    with pq.ParquetFile(path, read_dictionary=_TEXTS) as file:
        newer = {column: kind for column, kind in _TABLE.newer.items() if column in file.schema_arrow.names}
        declared = _TABLE.columns | newer
        _refuse_faults(path, file.schema_arrow.empty_table(), declared)
        for batch in file.iter_batches(_ROWS, columns=list(declared)):
            _refuse_faults(path, pa.Table.from_batches([batch]), declared)
            yield batch


def _refuse_faults(path: Path, table: pa.Table, declared: dict[str, str]) -> None:
    faults = [fault for column, kind in declared.items() if (fault := column_fault(table, column, kind))]
    if faults:
        raise CorruptArtefactError(path, "; ".join(faults), RERUN)


def gathered(batches: Iterable[pa.RecordBatch], ranked: Collection[str] | None = None) -> Answers:
    """Gather the rows of a table of predictions.

    Args:
        batches: Its rows, those of one model and data set at best one after the other.
        ranked: Data sets whose scores are kept; None keeps all.

    Raises:
        ValueError: An item has two labels.
    """
    names = {column: Names() for column in _TEXTS}
    models: dict[tuple[Any, ...], int] = {}
    datasets: dict[str, DatasetBuilder] = {}
    for batch in batches:
        rows = _Rows(batch, names)
        for start, end in rows.runs():
            cell, dataset = rows.cell(start), names["dataset"][int(rows.codes["dataset"][start])]
            model = models.setdefault(cell, len(models))
            if dataset not in datasets:
                keep = ranked is None or dataset in ranked
                datasets[dataset] = DatasetBuilder(dataset, names["prompt"], names["item_id"], keep)
            datasets[dataset].add(model, cell[CELL.index("method")] == "dense", *rows.items(start, end))
    frame = pd.DataFrame(list(models), columns=CELL)
    return Answers(frame, tuple(one.finished(len(models)) for one in datasets.values()))


class _Rows:
    """The rows of a batch as arrays: texts as numbers that are the same in all batches."""

    def __init__(self, batch: pa.RecordBatch, names: dict[str, Names]) -> None:
        """Take the columns apart."""
        self._names = names
        self.codes = {column: names[column].codes(batch.column(column)) for column in _TEXTS}
        others = [*(column for column in _CELL_COLUMNS if column not in _TEXTS), "label", "prediction"]
        self.numbers = {column: batch.column(column).to_numpy(zero_copy_only=False) for column in others}
        if "calibrated" in batch.schema.names:
            self.calibrated = batch.column("calibrated").to_numpy(zero_copy_only=False)
        else:
            self.calibrated = self.codes["calibration"] != names["calibration"].code("")
        self.scores = batch.column("scores")
        self.lengths = batch.column("lengths") if "lengths" in batch.schema.names else None

    def runs(self) -> Iterator[tuple[int, int]]:
        """First row, and the row after the last one, of each stretch of one model and data set."""
        keys = [self.codes[name] if name in self.codes else self.numbers[name] for name in _CELL_COLUMNS]
        keys += [self.calibrated, self.codes["dataset"]]
        new = np.zeros(len(self.calibrated), dtype=bool)
        new[:1] = True
        for key in keys:
            new[1:] |= key[1:] != key[:-1]
        starts = np.flatnonzero(new)
        return zip(starts.tolist(), [*starts[1:].tolist(), len(new)], strict=True)

    def cell(self, row: int) -> tuple[Any, ...]:
        """The columns of :data:`CELL` of a row's model, without a calibration that it did not look at."""
        text = {name: self._names[name][int(self.codes[name][row])] for name in _CELL_COLUMNS if name in self.codes}
        values = text | {name: self.numbers[name][row].item() for name in _CELL_COLUMNS if name not in text}
        values["calibrated"] = bool(self.calibrated[row])
        if not values["calibrated"]:
            values |= {"calibration": "", "calibration_sequences": 0, "calibration_length": 0}
        return tuple(values[name] for name in CELL)

    def items(
        self, start: int, end: int
    ) -> tuple[Int[np.ndarray, " rows"], Int[np.ndarray, " rows"], Float[np.ndarray, " rows"], Any, Any, Any]:
        """Key, document, label, prediction, scores and, where they are known, lengths of choices of some rows."""
        keys = self.codes["prompt"][start:end] << 32 | self.codes["item_id"][start:end]
        numbers = [self.numbers[name][start:end] for name in ("label", "prediction")]
        lists = [None if each is None else each.slice(start, end - start) for each in (self.scores, self.lengths)]
        return keys, self.codes["document_id"][start:end], numbers[0], numbers[1], lists[0], lists[1]
