"""Load a run folder and check that every artefact is what it should be, before anything is drawn."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

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
from semprune.report.run.schema import OPTIONAL_COLUMNS, SCHEMAS, SETTING_TABLES, column_fault
from semprune.report.run.study_tables import ANALYSED, StudyTables, study_tables

RERUN = "Run `semprune study` into this folder again: finished cells are reused, missing artefacts are written."

_RESULT_KEY = [*SETTING_COLUMNS, "dataset", "prompt", "metric"]


@dataclass(frozen=True)
class RunArtefacts:
    """A run folder's checked artefacts; an optional one that the folder lacks is None.

    Frames with a pruning method have a column ``setting``, the label the page uses (``dense`` for the dense model).

    Attributes:
        folder: The run folder.
        settings: The pruned settings, in the order of every table.
        results: One row per setting × data set × prompt × metric.
        sparsity: Measured sparsity per pruned matrix.
        semantic_loss: Loss per setting × concept × layer (layer -1: all layers).
        concepts: How well each concept is represented in the dense model.
        layer_concept: Association strength per layer × concept.
        neurons: Top neurons per concept.
        contexts: Tokens that excite each neuron, in context.
        neuron_activations: Activation of each neuron, dense and pruned.
        word_activations: Activation of a concept's neurons at each of its words, dense and pruned.
        causal: Scores with chosen neurons ablated.
        readout_loss: How much worse each concept is read back from its neurons; measured on request.
        causal_loss: What the change at each concept's tokens does to the model; measured on request.
        causal_neurons: The neurons through which it does that.
        predictions: Answers per item, dense and pruned.
        task_concepts: Which concepts are a data set's own.
        calibration: Diversity of the calibration sequences, and their likeness to each data set.
        provenance: What made the run.
        methods: What its pruning methods are called.
    """

    folder: Path
    settings: tuple[Setting, ...]
    results: pd.DataFrame
    sparsity: pd.DataFrame | None
    semantic_loss: pd.DataFrame | None
    concepts: pd.DataFrame | None
    layer_concept: pd.DataFrame | None
    neurons: pd.DataFrame | None
    contexts: pd.DataFrame | None
    neuron_activations: pd.DataFrame | None
    word_activations: pd.DataFrame | None
    causal: pd.DataFrame | None
    readout_loss: pd.DataFrame | None
    causal_loss: pd.DataFrame | None
    causal_neurons: pd.DataFrame | None
    predictions: pd.DataFrame | None
    task_concepts: pd.DataFrame | None
    calibration: pd.DataFrame | None
    provenance: dict[str, Any] | None
    methods: MethodLabels = field(default_factory=MethodLabels)

    @cached_property
    def study(self) -> StudyTables | None:
        """What several calibration sets say together, computed once; None for a run with fewer than two."""
        return study_tables({name: getattr(self, name) for name in ANALYSED})


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
    results = read_table(folder, "results")
    if results is None:
        raise CorruptArtefactError(folder / "results.parquet", "there is no such file", RERUN)
    provenance = read_provenance(folder)
    varying, methods = varying_columns(results), _method_labels(provenance or {}, folder / "provenance.json")
    frames = {name: results if name == "results" else read_table(folder, name) for name in SCHEMAS}
    for name, frame in frames.items():
        if frame is not None and name in SETTING_TABLES:
            frame["setting"] = setting_labels(frame, varying, methods)
    _check_results(results, folder / "results.parquet")
    optional = {name: frame for name, frame in frames.items() if name != "results"}
    settings = settings_of(results, methods)
    return RunArtefacts(folder, settings, results, **optional, provenance=provenance, methods=methods)


def loaded(run: Path | RunArtefacts) -> RunArtefacts:
    """A run folder's artefacts, or those that were loaded before.

    Raises:
        CorruptArtefactError: As :func:`load_run`.
    """
    return run if isinstance(run, RunArtefacts) else load_run(run)


def read_table(folder: Path, name: str) -> pd.DataFrame | None:
    """Read ``{name}.parquet`` and check its columns; None where there is no such file.

    Raises:
        CorruptArtefactError: If it cannot be read, or its columns are not those of its schema.
    """
    path = folder / f"{name}.parquet"
    if not path.exists():
        return None
    try:
        table = pq.read_table(path)
    except (OSError, pa.ArrowException) as error:
        raise CorruptArtefactError(path, f"not a parquet file ({first_line(error)})", RERUN) from error
    extra = {column: kind for column, kind in OPTIONAL_COLUMNS.get(name, {}).items() if column in table.column_names}
    schema = SCHEMAS[name] | extra
    faults = [fault for column, kind in schema.items() if (fault := column_fault(table, column, kind))]
    if faults:
        raise CorruptArtefactError(path, "; ".join(faults), RERUN)
    frame: pd.DataFrame = table.select(list(schema)).to_pandas()
    return frame


def read_provenance(folder: Path) -> dict[str, Any] | None:
    """Read ``provenance.json``; None where there is no such file.

    Raises:
        CorruptArtefactError: If it is not a JSON object.
    """
    path = folder / "provenance.json"
    if not path.exists():
        return None
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CorruptArtefactError(path, f"not JSON ({first_line(error)})", RERUN) from error
    if not isinstance(content, dict):
        raise CorruptArtefactError(path, f"a JSON {type(content).__name__} where an object belongs", RERUN)
    return content


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
