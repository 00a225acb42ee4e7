"""What ``fit`` and ``test`` leave in their log folder: the same tables as a study's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from semprune.attribution import NeuronSemanticAttribution
from semprune.files import write_parquet
from semprune.pruning.callback import PruningCallback
from semprune.study import measure
from semprune.study.cells import Cell
from semprune.study.fit import concept_table, layer_table
from semprune.study.trainer import PairedTrainer


def write_fit(module: NeuronSemanticAttribution, folder: Path) -> pd.DataFrame:
    """Write ``concepts.parquet`` and ``layer_concept.parquet``; returns the former."""
    concepts = concept_table(module)
    write_parquet(folder / "concepts.parquet", concepts)
    write_parquet(folder / "layer_concept.parquet", layer_table(module.association()))
    return concepts


def write_test(module: NeuronSemanticAttribution, trainer: PairedTrainer, folder: Path) -> Path:
    """Write results, predictions, sparsity and semantic loss of the dense pass and, if any, the pruned one.

    Returns:
        The folder, which ``semprune report`` reads.
    """
    backbone, dense = str(module.lm.fingerprint), module.outcomes["dense"]
    tables = {
        "results": [measure.with_columns(dense.results(), Cell("dense"), backbone)],
        "predictions": [measure.with_columns(dense.predictions, Cell("dense"), backbone)],
    }
    for pruner in trainer.callbacks:  # type: ignore[attr-defined]  # Lightning sets it
        if isinstance(pruner, PruningCallback) and pruner.report is not None:
            cell, outcome = _cell(pruner, trainer), module.outcomes[pruner.name]
            tables["results"].append(measure.with_columns(outcome.results(dense), cell, backbone))
            tables["predictions"].append(measure.with_columns(outcome.predictions, cell, backbone))
            tables["sparsity"] = [measure.sparsity_table(pruner.report, module.lm, cell)]
            if module.learner is not None:
                loss = measure.loss_table(outcome, dense, module.association(), pruner.report, module.lm)
                if len(loss):
                    tables["semantic_loss"] = [measure.with_columns(loss, cell, backbone)]
    for name, parts in tables.items():
        write_parquet(folder / f"{name}.parquet", pd.concat(parts, ignore_index=True))
    return folder


def _cell(pruner: PruningCallback, trainer: PairedTrainer) -> Cell:
    data: Any = trainer.datamodule  # type: ignore[attr-defined]  # Lightning sets it
    calibration = data.calibration
    looked_at = calibration is not None and pruner.report is not None and pruner.report.calibration is not None
    return Cell(
        pruner.name,
        pruner.settings()["sparsity"],
        calibration.spec.name if looked_at else "",
        calibration.seed if looked_at else 0,
    )
