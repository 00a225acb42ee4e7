"""Runs a study: fit once, measure the dense model, then every pruned one; continues where it was killed."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import pandas as pd
from rich.console import Console

from semprune.attribution import NeuronSemanticAttribution, TestOutcome
from semprune.attribution.further_losses import check_losses
from semprune.attribution.watch import card_rows
from semprune.backbones import Backbone, load_backbone
from semprune.concepts import load_concepts
from semprune.data import EvaluationDataModule, calibration_spec, dataset_spec
from semprune.errors import EmptyStudyError
from semprune.files import write_json
from semprune.provenance import RunClock
from semprune.pruning.settings import PruneSettings, check_settings
from semprune.study import fit, measure, store
from semprune.study.cells import Cell, pruned_cells
from semprune.study.config import StudyConfig


def check(config: StudyConfig) -> None:
    """Refuse names and numbers that cannot be run, before any work starts.

    Raises:
        SempruneError: Of the kind of what is wrong.
    """
    for name in (*config.datasets, *config.fit.datasets, config.causal.dataset):
        dataset_spec(name)
    for name in (*config.calibrations, config.text.calibration):
        calibration_spec(name)
    load_concepts(config.fit.concepts)
    check_losses(config.losses)
    for method in config.methods:
        for sparsity in config.sparsities:
            check_settings(method, PruneSettings(sparsity))
        for pattern in config.patterns:
            check_settings(method, PruneSettings(pattern=pattern))
    if not config.patterns and not config.sparsities:
        raise EmptyStudyError("sparsities")
    for field in ("methods", "calibrations", "seeds", "datasets"):
        if not getattr(config, field):
            raise EmptyStudyError(field)


def run_study(config: StudyConfig, console: Console | None = None) -> Path:
    """Run what is not done yet, and write the run folder's tables.

    Args:
        config: The study.
        console: Where progress goes; None takes standard error.

    Returns:
        The run folder; :mod:`semprune.report` reads it.

    Raises:
        SempruneError: Of the kind of what is wrong with the configuration, the data or the artefacts.
    """
    check(config)
    console = console or Console(stderr=True)
    clock = RunClock()
    run = Path(config.output)
    run.mkdir(parents=True, exist_ok=True)
    lm = load_backbone(config.backbone.name, dtype=config.backbone.dtype)
    console.print(f"backbone {lm.fingerprint}, {str(lm.dtype).removeprefix('torch.')}")
    cells = [Cell("dense"), *pruned_cells(config)]
    data = _read(config, cells, lm)
    module = fit.fitted_module(config, lm, run)
    cards = fit.describe_association(config, module, run)
    fit.check_causally(config, lm, module.association(), run, console)
    folders = [run / "cells" / cell.key(config, str(lm.fingerprint)) for cell in cells]
    module.text = fit.held_out_text(config, lm)
    module.losses = list(config.losses)
    module.watched = card_rows(module.association(), config.neurons_per_concept)
    dense = _dense(config, module, data[cells[0]], folders[0], cards, run, console)
    module.outcomes = {"dense": dense}
    for number, (cell, folder) in enumerate(zip(cells[1:], folders[1:], strict=True), 1):
        console.print(f"cell {number} of {len(cells) - 1}: {cell.label}")
        if not store.is_done(folder):
            _pruned(config, module, cell, data[cell], folder, dense, cards, run)
    store.merge(run, folders)
    write_json(run / "provenance.json", _provenance(config, lm, folders, clock))
    return run


def _read(config: StudyConfig, cells: list[Cell], lm: Backbone) -> dict[Cell, EvaluationDataModule]:
    """Read and render all data of all cells: what is wrong with them shows before anything is computed."""
    by_calibration: dict[tuple[str, int], EvaluationDataModule] = {}
    for cell in cells:
        key = cell.calibration, cell.seed
        if key not in by_calibration:
            by_calibration[key] = measure.evaluation_data(config, cell, lm)
            by_calibration[key].prepare_data()
            by_calibration[key].setup("test")
    next(iter(by_calibration.values())).test_dataloader()
    return {cell: by_calibration[cell.calibration, cell.seed] for cell in cells}


def _dense(
    config: StudyConfig,
    module: NeuronSemanticAttribution,
    data: EvaluationDataModule,
    folder: Path,
    cards: pd.DataFrame,
    run: Path,
    console: Console,
) -> TestOutcome:
    assert module.learner is not None  # fitted before
    if store.is_done(folder):
        return store.load_outcome(folder, module.learner, module.lm)
    console.print("dense model")
    cell = Cell("dense")
    outcome, _ = measure.run_pass(module, data, cell, run)
    store.save_outcome(folder, outcome)
    association = module.association()
    assert data.documents is not None  # a study always has them
    tables = _common_tables(config, cell, outcome, None, module.lm)
    tables["contexts"] = fit.context_table(outcome, association, module.lm, data.documents.val_documents)
    tables["evidence"] = measure.evidence_table(outcome, association)
    tables["words"] = measure.word_table(outcome, association, cards, module.lm)
    store.finish(folder, tables, _about(cell, data))
    return outcome


def _pruned(
    config: StudyConfig,
    module: NeuronSemanticAttribution,
    cell: Cell,
    data: EvaluationDataModule,
    folder: Path,
    dense: TestOutcome,
    cards: pd.DataFrame,
    run: Path,
) -> None:
    lm, association = module.lm, module.association()
    outcome, report = measure.run_pass(module, data, cell, run)
    assert report is not None  # a pruned cell has pruned
    tables = _common_tables(config, cell, outcome, dense, lm)
    tables["sparsity"] = measure.sparsity_table(report, lm, cell)
    for kind, table in measure.further_tables(module, data.documents, report).items():
        tables[kind] = measure.with_columns(table, cell, str(lm.fingerprint))
    loss = measure.loss_table(outcome, dense, association, report, lm)
    tables["semantic_loss"] = measure.with_columns(loss, cell, str(lm.fingerprint))
    dense_folder = run / "cells" / Cell("dense").key(config, str(lm.fingerprint))
    dense_evidence = store.read_table(dense_folder / "evidence.parquet")
    kept = measure.kept_shares(report, lm, cards["neuron"].unique().tolist())
    evidence = measure.evidence_table(outcome, association)
    activations = measure.activation_table(dense_evidence, evidence, cards, kept)
    tables["neuron_activations"] = measure.with_columns(activations, cell, str(lm.fingerprint))
    words = measure.word_table(outcome, association, cards, lm)
    words = measure.word_activation_table(store.read_table(dense_folder / "words.parquet"), words)
    tables["word_activations"] = measure.with_columns(words, cell, str(lm.fingerprint))
    store.finish(folder, tables, _about(cell, data) | {"masks": report.mask_hash})


def _common_tables(
    config: StudyConfig, cell: Cell, outcome: TestOutcome, dense: TestOutcome | None, lm: Backbone
) -> dict[str, pd.DataFrame]:
    name = str(lm.fingerprint)
    return {
        "results": measure.scores(outcome, dense, config, cell, name),
        "predictions": measure.with_columns(outcome.predictions, cell, name),
    }


def _about(cell: Cell, data: EvaluationDataModule) -> dict[str, Any]:
    calibration = data.calibration
    return {
        "items": data.data_hash,
        "documents": data.documents.data_hash if data.documents is not None else None,
        "calibration": {} if calibration is None else {cell.calibration: calibration.token_hash},
    }


def _provenance(config: StudyConfig, lm: Backbone, folders: list[Path], clock: RunClock) -> dict[str, Any]:
    about = [store.read_json(folder / store.DONE) for folder in folders]
    return clock.record() | {
        "backbone": {"name": lm.name, "fingerprint": str(lm.fingerprint), "dtype": str(lm.dtype)},
        "data": {"items": about[0]["items"], "documents": about[0]["documents"]},
        "calibration": {name: value for cell in about for name, value in cell["calibration"].items()},
        "settings": asdict(config),
        "licences": {name: str(dataset_spec(name).licence) for name in config.datasets},
    }
