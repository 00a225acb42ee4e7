"""From the store to the run folder: the tables of a study's own cells, in their order."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from semprune.io.files import write_parquet
from semprune.study.cell import measure
from semprune.study.cell.measurement import DENSE
from semprune.study.config.cells import Cell, stated
from semprune.study.store import store
from semprune.study.store.addresses import Addresses

BY_MEANING = ("semantic_loss", "neuron_activations", "word_activations", *store.LOSS_TABLES)
MERGED = ("results", "predictions", "sparsity", *BY_MEANING)


def merge(addresses: Addresses, cells: list[Cell], backbone: str, run: Path) -> None:
    """Write the run's tables from its finished cells; those of cells that failed are left out.

    Args:
        addresses: Where the cells are.
        cells: The cells, the dense one first.
        backbone: Fingerprint of the model, for the tables.
        run: Run folder.
    """
    done = [cell for cell in cells if store.is_done(addresses, cell)]
    for name in MERGED:
        parts = []
        for cell in done:
            tables = [store.read_table(path) for path in _paths(addresses, cell, name)]
            if tables:
                table = pd.concat(tables, ignore_index=True)
                parts += [_as_stated(table, cell, as_cell, backbone) for as_cell in stated(cell, addresses.config)]
        parts = [part for part in parts if len(part)]  # empty ones would change the columns' types
        if parts:
            write_parquet(run / f"{name}.parquet", pd.concat(parts, ignore_index=True))
        else:
            (run / f"{name}.parquet").unlink(missing_ok=True)  # of another study in this folder
    dense = addresses.cell(DENSE) / addresses.meaning
    write_parquet(run / "contexts.parquet", store.read_table(dense / "contexts.parquet"))


def cell_results(addresses: Addresses, cell: Cell) -> pd.DataFrame:
    """The results of one finished cell."""
    return pd.concat([store.read_table(path) for path in _paths(addresses, cell, "results")], ignore_index=True)


def _paths(addresses: Addresses, cell: Cell, name: str) -> list[Path]:
    folder, names = addresses.cell(cell), sorted(addresses.config.datasets)
    if name == "predictions":
        return [folder / f"predictions-{addresses.items(dataset)}.parquet" for dataset in names]
    if name == "results":
        own = [folder / f"results-{addresses.items(dataset)}.parquet" for dataset in names]
        return [*own, folder / f"{addresses.text}.parquet"]
    if cell == DENSE:
        return []
    if name == "sparsity":
        return [folder / "sparsity.parquet"]
    path = folder / addresses.meaning / f"{name}.parquet"
    return [] if name in store.LOSS_TABLES and not path.is_file() else [path]  # a loss that was not asked for


def _as_stated(table: pd.DataFrame, cell: Cell, as_cell: Cell, backbone: str) -> pd.DataFrame:
    own = table.drop(columns=[column for column in ("backbone", *as_cell.columns, "calibrated") if column in table])
    with_keys = measure.with_columns(own, as_cell, backbone)
    place = 1 + len(as_cell.columns)
    with_keys.insert(place, "calibrated", bool(cell.calibration))  # whether the method looked at the calibration
    return with_keys
