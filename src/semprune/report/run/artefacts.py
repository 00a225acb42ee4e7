"""Load a run folder and check that every artefact is what it should be, before anything is drawn."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from semprune.artefacts import RERUN, TABLES, read_provenance, read_table
from semprune.errors import CorruptArtefactError
from semprune.errors.base import first_line
from semprune.report.run.labels import (
    SETTING_COLUMNS,
    MethodLabels,
    Setting,
    setting_labels,
    settings_of,
    varying_columns,
)
from semprune.report.run.metrics import METRICS
from semprune.report.run.study_tables import StudyTables, study_tables

LABELLED = tuple(table.name for table in TABLES.values() if table.by_cell and table.name != "predictions")
"""Tables whose rows carry a setting's label; predictions are only read per item."""

_RESULT_KEY = [*SETTING_COLUMNS, *TABLES["results"].keys]


@dataclass(frozen=True)
class RunArtefacts:
    """A run folder's checked artefacts.

    Every table of :data:`semprune.artefacts.tables.TABLES` is an attribute too, None where the folder lacks it:
    ``run.semantic_loss``. Those of :data:`LABELLED` have a column ``setting``, the label the page uses (``dense`` for
    the dense model).

    Attributes:
        folder: The run folder.
        settings: The pruned settings, in the order of every table.
        tables: Those that the folder has, by name.
        provenance: What made the run.
        methods: What its pruning methods are called.
    """

    folder: Path
    settings: tuple[Setting, ...]
    tables: Mapping[str, pd.DataFrame]
    provenance: dict[str, Any] | None
    methods: MethodLabels = field(default_factory=MethodLabels)

    def __getattr__(self, name: str) -> pd.DataFrame | None:
        """A table by its name."""
        if name not in TABLES:
            raise AttributeError(f"{type(self).__name__} has no attribute or table '{name}'")
        return self.tables.get(name)

    @property
    def results(self) -> pd.DataFrame:
        """The table that every run has."""
        return self.tables["results"]

    @cached_property
    def study(self) -> StudyTables | None:
        """What several calibration sets say together, computed once; None for a run with fewer than two."""
        return study_tables(self.tables)


def load_run(folder: Path) -> RunArtefacts:
    """Read a run folder.

    Args:
        folder: Folder that a study wrote; ``results.parquet`` must be there, the rest is optional.

    Returns:
        The checked artefacts.

    Raises:
        CorruptArtefactError: If ``results.parquet`` is missing, or any artefact that is there cannot be read, lacks a
            column, has one of another type, or contradicts itself.
    """
    tables = {name: table for name in TABLES if (table := read_table(folder, name)) is not None}
    if "results" not in tables:
        raise CorruptArtefactError(folder / TABLES["results"].file, "there is no such file", RERUN)
    results, provenance = tables["results"], read_provenance(folder)
    methods = _method_labels(provenance or {}, folder / "provenance.json")
    varying = varying_columns(results)
    for name in LABELLED:
        if name in tables:
            tables[name]["setting"] = setting_labels(tables[name], varying, methods)
    _check_results(results, folder / TABLES["results"].file)
    return RunArtefacts(folder, settings_of(results, methods), tables, provenance, methods)


def loaded(run: Path | RunArtefacts) -> RunArtefacts:
    """A run folder's artefacts, or those that were loaded before.

    Raises:
        CorruptArtefactError: As :func:`load_run`.
    """
    return run if isinstance(run, RunArtefacts) else load_run(run)


def _method_labels(provenance: dict[str, Any], path: Path) -> MethodLabels:
    try:
        return MethodLabels.recorded(provenance)
    except (KeyError, TypeError) as error:
        raise CorruptArtefactError(path, f"its list of methods cannot be read ({first_line(error)})", RERUN) from error


def _check_results(results: pd.DataFrame, path: Path) -> None:
    """Refuse results that no table could show truthfully."""
    if results.empty:
        raise CorruptArtefactError(path, "it has no rows", RERUN)
    unknown = sorted(set(results["metric"]) - set(METRICS))
    if unknown:
        known = ", ".join(METRICS)
        raise CorruptArtefactError(
            path, f"unknown metric {', '.join(unknown)} (known: {known})", "Use the semprune version that wrote it."
        )
    doubles = results[results.duplicated(_RESULT_KEY)]
    if not doubles.empty:
        first = ", ".join(str(doubles.iloc[0][column]) for column in _RESULT_KEY)
        raise CorruptArtefactError(path, f"{len(doubles)} rows appear twice, the first is {first}", RERUN)
