"""The run folder: one subfolder per finished cell, and the tables merged from them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from semprune.attribution import TestOutcome
from semprune.attribution.concept_norms import ConceptNorms
from semprune.attribution.learner import AttributionLearner
from semprune.backbones import Backbone
from semprune.errors import CorruptArtefactError
from semprune.files import write_json, write_parquet
from semprune.tensor_files import write_safetensors

DONE = "cell.json"
LOSS_TABLES = ("readout_loss", "causal_loss", "causal_neurons")
MERGED = (
    "results",
    "predictions",
    "sparsity",
    "semantic_loss",
    "neuron_activations",
    "contexts",
    "word_activations",
    *LOSS_TABLES,
)


def is_done(folder: Path) -> bool:
    """Whether a cell was finished: its marker is written last."""
    return (folder / DONE).is_file()


def finish(folder: Path, tables: dict[str, pd.DataFrame], about: dict[str, Any]) -> None:
    """Write a cell's tables, then its marker."""
    for name, table in tables.items():
        write_parquet(folder / f"{name}.parquet", table)
    write_json(folder / DONE, about)


def save_outcome(folder: Path, outcome: TestOutcome) -> None:
    """Keep the dense pass, which every later cell is compared with."""
    write_parquet(folder / "dense_predictions.parquet", outcome.predictions)
    tensors = {} if outcome.held_out is None else outcome.held_out.tensors()
    if outcome.nll is not None:
        tensors["nll"] = outcome.nll
    if outcome.norms is not None:
        tensors |= {"norms.squares": outcome.norms.squares, "norms.tokens": outcome.norms.tokens}
    write_safetensors(folder / "dense.safetensors", tensors, {})


def load_outcome(folder: Path, learner: AttributionLearner, lm: Backbone) -> TestOutcome:
    """Read the dense pass back.

    Raises:
        CorruptArtefactError: A file is damaged.
    """
    outcome = TestOutcome(learner, norms=ConceptNorms(lm, len(learner.shape.concepts) + len(learner.shape.classes)))
    remedy = f"Delete {folder} and run the same command again: that cell is then computed anew."
    try:
        outcome.predictions = pd.read_parquet(folder / "dense_predictions.parquet")
        tensors = load_file(folder / "dense.safetensors")
        outcome.nll = tensors.pop("nll", None)
        if outcome.held_out is not None:
            with torch.no_grad():
                outcome.held_out.load(tensors)
        if outcome.norms is not None:
            outcome.norms.squares.copy_(tensors["norms.squares"])
            outcome.norms.tokens.copy_(tensors["norms.tokens"])
    except (OSError, SafetensorError, KeyError, ValueError, pa.ArrowException) as error:
        raise CorruptArtefactError(folder, str(error), remedy) from error
    return outcome


def merge(run: Path, cells: list[Path]) -> None:
    """Write the run's tables from its finished cells, in their order."""
    for name in MERGED:
        parts = [folder / f"{name}.parquet" for folder in cells if (folder / f"{name}.parquet").is_file()]
        if parts:
            write_parquet(run / f"{name}.parquet", pd.concat([read_table(part) for part in parts], ignore_index=True))


def read_table(path: Path) -> pd.DataFrame:
    """Read a table of a cell.

    Raises:
        CorruptArtefactError: There is no such file, or it is damaged.
    """
    try:
        return pd.read_parquet(path)
    except (OSError, pa.ArrowException, ValueError) as error:
        remedy = f"Delete {path.parent} and run the same command again: that cell is then computed anew."
        raise CorruptArtefactError(path, str(error), remedy) from error


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object, empty where there is no file.

    Raises:
        CorruptArtefactError: The file is no JSON.
    """
    if not path.is_file():
        return {}
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise CorruptArtefactError(path, str(error), "Delete it and run the same command again.") from error
    return content
