"""The share of its skill that each pruned model of a run keeps, of the stored answers."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import pandas as pd

from semprune.artefacts import DENSE, TABLES, Cell, read_table, write_table
from semprune.data import dataset_spec
from semprune.evaluation import retained_table
from semprune.evaluation.results.retained import SKILL_METRICS
from semprune.study.run_folder import as_stated, cell_predictions
from semprune.study.store import store
from semprune.study.store.addresses import Addresses


def write_retained(addresses: Addresses, cells: list[Cell], backbone: str, run: Path) -> None:
    """Write a run's ``retained.parquet``; a run without pruned models or without data sets of skill has none.

    With a ``screening.parquet``, only data sets whose evaluated wording was admitted there count for their family.

    Args:
        addresses: Where the cells are.
        cells: The run's cells.
        backbone: Fingerprint of the model, for the table.
        run: Run folder.
    """
    specs = {name: dataset_spec(name) for name in addresses.config.datasets}
    skilled = {name: spec for name, spec in specs.items() if set(spec.metrics) & set(SKILL_METRICS)}
    done = [cell for cell in cells if store.is_done(addresses, cell)]
    pruned = [cell for cell in done if cell != DENSE]
    if not skilled or not pruned or DENSE not in done:
        (run / TABLES["retained"].file).unlink(missing_ok=True)  # of another study in this folder
        return
    families = {name: spec.family for name, spec in skilled.items()}
    metrics = {name: spec.metrics for name, spec in skilled.items()}
    admitted, dense, parts = _admitted(run), _answers(addresses, DENSE, skilled), []
    for cell in pruned:
        answers = _answers(addresses, cell, skilled)
        table = retained_table(dense, answers, families=families, metrics=metrics, admitted=admitted)
        parts += as_stated(table, addresses, cell, backbone)
    write_table(run, "retained", pd.concat(parts, ignore_index=True))


def _answers(addresses: Addresses, cell: Cell, datasets: Collection[str]) -> pd.DataFrame:
    table = cell_predictions(addresses, cell)
    return table[table["dataset"].isin(list(datasets))]


def _admitted(run: Path) -> set[str] | None:
    screening = read_table(run, "screening")
    if screening is None:
        return None
    return set(screening.loc[screening["chosen"] & screening["admitted"], "dataset"])
