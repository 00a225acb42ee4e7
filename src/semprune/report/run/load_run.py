"""Load a run folder and check that every artefact is what it should be, before anything is drawn."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy import special

from semprune.artefacts import DRAW, RERUN, TABLES, Answers, is_guided, read_answers, read_provenance, read_table
from semprune.errors import CorruptArtefactError
from semprune.errors.base import first_line
from semprune.report.run.labels import (
    SETTING_COLUMNS,
    MethodLabels,
    Setting,
    model_names,
    setting_labels,
    settings_of,
    varying_columns,
)
from semprune.report.run.metrics import METRICS
from semprune.report.run.study_tables import StudyTables, study_tables

_FRAMES = tuple(name for name in TABLES if name != "predictions")
LABELLED = tuple(name for name in _FRAMES if TABLES[name].by_cell)
"""Tables whose rows carry a setting's label; predictions are only read per item."""

_RESULT_KEY = [*SETTING_COLUMNS, *TABLES["results"].keys]


@dataclass(frozen=True)
class RunArtefacts:
    """A run folder's checked artefacts.

    Every other table of :data:`semprune.artefacts.tables.TABLES` is an attribute too, None where the folder lacks it:
    ``run.semantic_loss``. Those of :data:`LABELLED` have a column ``setting``, the label the page uses (``dense`` for
    the dense model).

    Attributes:
        folder: The run folder.
        settings: The pruned settings, in the order of every table.
        tables: Those that the folder has, by name, without the predictions.
        provenance: What made the run.
        methods: What its pruning methods are called.
        models: What its models are called, by fingerprint.
        predictions: Answers per item; None where the folder lacks them.
        headlines: Of each metric, the table that every section starts from; filled by ``headline_table``.
    """

    folder: Path
    settings: tuple[Setting, ...]
    tables: Mapping[str, pd.DataFrame]
    provenance: dict[str, Any] | None
    methods: MethodLabels = field(default_factory=MethodLabels)
    models: Mapping[str, str] = field(default_factory=dict)
    predictions: Answers | None = None
    headlines: dict[str | None, pd.DataFrame] = field(default_factory=dict, init=False, repr=False, compare=False)

    def __getattr__(self, name: str) -> pd.DataFrame | None:
        """A table by its name."""
        if name not in TABLES:
            raise AttributeError(f"{type(self).__name__} has no attribute or table '{name}'")
        return self.tables.get(name)

    def model_name(self, fingerprint: str) -> str:
        """What a model is called in front of a reader; one that the run did not name keeps its fingerprint."""
        return self.models.get(fingerprint, fingerprint)

    @property
    def results(self) -> pd.DataFrame:
        """The table that every run has."""
        return self.tables["results"]

    @cached_property
    def study(self) -> StudyTables | None:
        """What several calibration sets say together, computed once; None for a run with fewer than two."""
        return study_tables(self.tables, self.predictions)


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
    tables = {name: table for name in _FRAMES if (table := read_table(folder, name)) is not None}
    if "results" not in tables:
        raise CorruptArtefactError(folder / TABLES["results"].file, "there is no such file", RERUN)
    results, provenance = tables["results"], read_provenance(folder)
    methods, models = _labels(provenance or {}, folder / "provenance.json")
    varying = varying_columns(results)
    for name in LABELLED:
        if name in tables:
            tables[name]["setting"] = setting_labels(tables[name], varying, methods, models)
    _check_results(results, folder / TABLES["results"].file)
    ranked = set(results.loc[results["metric"] == "auroc", "dataset"])  # the only ones whose scores are looked at
    answers = read_answers(folder, ranked)
    return RunArtefacts(folder, settings_of(results, methods), tables, provenance, methods, models, answers)


def loaded(run: Path | RunArtefacts) -> RunArtefacts:
    """A run folder's artefacts, or those that were loaded before.

    Raises:
        CorruptArtefactError: As :func:`load_run`.
    """
    return run if isinstance(run, RunArtefacts) else load_run(run)


def _labels(provenance: dict[str, Any], path: Path) -> tuple[MethodLabels, dict[str, str]]:
    try:
        return MethodLabels.recorded(provenance), model_names(provenance)
    except (AttributeError, KeyError, TypeError) as error:
        why = f"its methods or models cannot be read ({first_line(error)})"
        raise CorruptArtefactError(path, why, RERUN) from error


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


MOST_SETTINGS = 24
"""With more pruned models than these no table of all of them can be read; each is in the CSV files."""

_OF_SINGLE = ("causal_neurons", "strengths")
"""A model's choice of neurons or of a strength: no mean of these; nor of answers per item."""
_NO_DRAW: dict[str, Any] = {"calibration": "", "calibration_sequences": 0, "calibration_length": 0, "seed": 0}


def is_crowded(run: RunArtefacts) -> bool:
    """Whether the run has more pruned models than a page can show one by one."""
    return len(run.settings) > MOST_SETTINGS


def pooled(run: RunArtefacts) -> RunArtefacts:
    """The run with the models of one method, pattern and sparsity replaced by their mean, without guided ones.

    All models are measured on the same items and documents, so their sampling errors go together: the ends of the
    intervals are averaged like the values, which is exact where the errors are the same and too wide where they are
    not. p values are the normal ones of the averaged intervals.
    """
    kept = {name: frame for name, frame in run.tables.items() if name not in _OF_SINGLE}
    frames = {name: _pooled_frame(kept[name], name) for name in LABELLED if name in kept}
    results = frames["results"]
    results["p"] = _p(results)
    varying = varying_columns(results)
    for frame in frames.values():
        frame["setting"] = setting_labels(frame, varying, run.methods, run.models)
    return replace(run, settings=settings_of(results, run.methods), tables=kept | frames, predictions=None)


def _pooled_frame(frame: pd.DataFrame, name: str) -> pd.DataFrame:
    schema = TABLES[name].columns
    keys = [column for column, kind in schema.items() if kind != "number" or column == "sparsity"]
    keys = [column for column in keys if column not in DRAW]
    alone = ~is_guided(frame["calibration"])
    frame = frame[alone] if (alone & (frame["method"] != "dense")).any() else frame
    values = [column for column in schema if column not in (*keys, *DRAW)]
    means = frame.groupby(keys, sort=False, dropna=False)[values].mean().reset_index()
    return means.assign(**_NO_DRAW)


def _p(results: pd.DataFrame) -> pd.Series:
    error = (results["difference_high"] - results["difference_low"]) / (2 * special.ndtri(0.975))
    with np.errstate(divide="ignore", invalid="ignore"):
        p = pd.Series(2 * special.ndtr(-np.abs(results["difference"] / error)), index=results.index)
    return p.where(results["method"] != "dense")
