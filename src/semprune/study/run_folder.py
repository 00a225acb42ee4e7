"""What a run folder holds: the tables of a study's cells, merged from the store, and what made them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import chain
from pathlib import Path
from typing import Any

import pandas as pd

from semprune.artefacts import DENSE, TABLES, Cell, RunTable, read_provenance, with_cell, write_parts, write_table
from semprune.backbones import Backbone
from semprune.data import dataset_spec
from semprune.io.files import write_json
from semprune.io.provenance import RunClock
from semprune.pruning import method_labels
from semprune.study.config.grid import stated
from semprune.study.store import store
from semprune.study.store.addresses import Addresses

MERGED = tuple(table for table in TABLES.values() if table.by_cell and table.of != "answers")


def merge(addresses: Addresses, cells: list[Cell], backbone: str, run: Path) -> None:
    """Write the run's tables from its finished cells; those of cells that failed are left out.

    Args:
        addresses: Where the cells are.
        cells: The cells, the dense one first.
        backbone: Fingerprint of the model, for the tables.
        run: Run folder.
    """
    done = [cell for cell in cells if store.is_done(addresses, cell)]
    for table in MERGED:
        stated_as = (part for cell in done for part in _stated(addresses, cell, table, backbone))
        parts = (part for part in stated_as if len(part))  # empty ones would change the columns' types
        if (first := next(parts, None)) is None:
            (run / table.file).unlink(missing_ok=True)  # of another study in this folder
        elif table.name == "predictions":  # a row per item and model: they need not fit into memory
            write_parts(run, table.name, chain([first], parts))
        else:
            write_table(run, table.name, pd.concat([first, *parts], ignore_index=True))
    dense = addresses.cell(DENSE) / addresses.meaning
    write_table(run, "contexts", store.read_table(dense / TABLES["contexts"].file))


def cell_results(addresses: Addresses, cell: Cell) -> pd.DataFrame:
    """The results of one finished cell."""
    return pd.concat(_tables(addresses, cell, TABLES["results"]), ignore_index=True)


def cell_predictions(addresses: Addresses, cell: Cell) -> pd.DataFrame:
    """The answers of one finished cell."""
    return pd.concat(_tables(addresses, cell, TABLES["predictions"]), ignore_index=True)


def _stated(addresses: Addresses, cell: Cell, table: RunTable, backbone: str) -> list[pd.DataFrame]:
    """A cell's rows, once for each cell as which it is stated."""
    tables = _tables(addresses, cell, table)
    if not tables:
        return []
    return as_stated(pd.concat(tables, ignore_index=True), addresses, cell, backbone)


def as_stated(rows: pd.DataFrame, addresses: Addresses, cell: Cell, backbone: str) -> list[pd.DataFrame]:
    """Rows of a cell, once for each cell as which the study states it."""
    looked = bool(cell.calibration)
    return [with_cell(rows, as_cell, backbone, calibrated=looked) for as_cell in stated(cell, addresses.config)]


def _tables(addresses: Addresses, cell: Cell, table: RunTable) -> list[pd.DataFrame]:
    return [store.read_table(path) for path in _paths(addresses, cell, table)]


def _paths(addresses: Addresses, cell: Cell, table: RunTable) -> list[Path]:
    folder, datasets = addresses.cell(cell), sorted(addresses.config.datasets)
    if table.of == "items":
        own = [folder / f"{table.name}-{addresses.items(dataset)}.parquet" for dataset in datasets]
        of_text = {"results": f"{addresses.text}.parquet", "fidelity": f"fidelity-{addresses.text}.parquet"}
        return [*own, folder / of_text[table.name]] if table.name in of_text else own
    if table.of == "text":
        return [folder / f"{table.name}-{addresses.text}.parquet"]
    if cell == DENSE:
        return []
    path = folder / table.file if table.of == "pruning" else folder / addresses.meaning / table.file
    return [] if table.asked and not path.is_file() else [path]


def write_provenance(
    run: Path,
    clock: RunClock,
    lm: Backbone,
    *,
    items: str,
    left_out: Mapping[str, Mapping[str, list[str]]],
    documents: str | None,
    calibration: Mapping[str, str],
    special_tokens: Mapping[str, str],
    settings: Mapping[str, Any],
    datasets: Iterable[str],
) -> None:
    """Write what made a run.

    Args:
        run: Run folder.
        clock: Started with the command.
        lm: The model.
        items: SHA-256 of all evaluated items.
        left_out: Identifiers of the items that could not be scored, by data set and prompt.
        documents: SHA-256 of the documents that the association is fitted to and read back from; None without any.
        calibration: SHA-256 of the tokens of each draw of calibration sequences, by its name.
        special_tokens: What each kind of text begins with.
        settings: What the run was told.
        datasets: Evaluated data sets, whose licences are named.
    """
    about = {
        "backbone": {"name": lm.name, "fingerprint": str(lm.fingerprint), "dtype": str(lm.dtype)},
        "data": {"items": items, "documents": documents},
        "calibration": dict(calibration),
        "special_tokens": dict(special_tokens),
        "settings": dict(settings),
        "licences": {name: str(dataset_spec(name).licence) for name in datasets},
        "methods": [{"name": name, "label": label} for name, label in method_labels().items()],
    }
    if left_out:
        about["left_out"] = {name: dict(prompts) for name, prompts in left_out.items()}
    write_json(run / "provenance.json", clock.record() | about)


OF_ALL = ("semprune", "command", "started", "versions", "settings", "licences", "methods")
"""What the runs of a study's models have in common."""


def write_shared_provenance(run: Path, parts: Iterable[Path]) -> None:
    """Write what made a study of several models; what is of one of them is in its own folder.

    Args:
        run: Run folder of the study.
        parts: Run folders of its models, in the order in which they were run.
    """
    each = [about for part in parts if (about := read_provenance(part)) is not None]
    shared = {key: each[0][key] for key in OF_ALL if key in each[0]}
    shared |= {"backbones": [about["backbone"] for about in each], "finished": each[-1]["finished"]}
    shared["wall_seconds"] = sum(about["wall_seconds"] for about in each)
    shared["peak_memory_bytes"] = max(about["peak_memory_bytes"] for about in each)
    write_json(run / "provenance.json", shared)
