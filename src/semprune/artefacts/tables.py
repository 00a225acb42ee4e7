"""Every table of a run folder that is read again: its columns, what tells its rows apart, what it gives the page."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import pandas as pd

from semprune.artefacts.cell import CELL, DRAW, SETTING

_CONCEPT = {"concept": "text", "level": "text"}
_CALIBRATED = {"calibrated": "flag"}


def _with_ends(name: str) -> dict[str, str]:
    return {name: "number", f"{name}_low": "number", f"{name}_high": "number"}


@dataclass(frozen=True, slots=True)
class RunTable:
    """Declaration of ``{name}.parquet``. A writer may add columns; readers do not see them.

    Attributes:
        name: Of the table.
        about: What its rows are.
        keys: Columns that tell the rows of one cell apart (or all rows, where no cell is named).
        columns: What every run has, each with its kind: ``text``, ``flag``, ``integer``, ``number`` (the only ones
            that may be empty; integers are numbers) or ``numbers``, a list of them in each row.
        newer: Columns that only newer runs or studies have: read and checked where they are there.
        of: What it is measured of, by which a study stores it: each data set's ``items``, the ``text``, a ``pruning``,
            a pruning's concepts (``meaning``), or the whole ``run``. What is made of all ``answers`` of a pruned model
            is not stored: a run makes it when it is put together.
        asked: Whether only runs have it that were asked for it.
        gives: What it gives the page, for the note that stands in its place; empty where nothing is missed.
    """

    name: str
    about: str
    keys: tuple[str, ...]
    columns: dict[str, str]
    newer: dict[str, str] = field(default_factory=dict)
    of: Literal["items", "text", "pruning", "meaning", "answers", "run"] = "run"
    asked: bool = False
    gives: str = ""

    @property
    def file(self) -> str:
        """Name of its file in the run folder."""
        return f"{self.name}.parquet"

    @property
    def by_cell(self) -> bool:
        """Whether each row names a cell."""
        return "method" in self.columns

    @property
    def measured(self) -> tuple[str, ...]:
        """Its columns without those that name a cell."""
        return tuple(column for column in self.columns if column not in CELL)


TABLES: dict[str, RunTable] = {table.name: table for table in (
    RunTable(
        "results", "One row per cell × data set × prompt × metric.", ("dataset", "prompt", "metric"),
        {"backbone": "text", **SETTING, "dataset": "text", "family": "text", "prompt": "text", "metric": "text",
         "value": "number", "low": "number", "high": "number", "n": "integer", "dense": "number",
         "difference": "number", "difference_low": "number", "difference_high": "number", "p": "number"},
        _CALIBRATED | {"left_out": "integer"}, of="items",
    ),
    RunTable(
        "fidelity", "How far each model is from the dense one, over the noise of running that again.",
        ("dataset", "prompt", "measure"),
        {"backbone": "text", **SETTING, "dataset": "text", "family": "text", "prompt": "text", "measure": "text",
         "value": "number", "low": "number", "high": "number", "n": "integer", "floor": "number"},
        _CALIBRATED, of="items",
    ),
    RunTable(
        "text_fidelity", "The same of each sequence of the text.", ("dataset", "sequence"),
        {"backbone": "text", **SETTING, "dataset": "text", "sequence": "integer", "kl": "number", "same_top": "number",
         "nll": "number"},
        _CALIBRATED, of="text",
    ),
    RunTable(
        "sparsity", "Measured sparsity per pruned matrix.", ("matrix",),
        {**SETTING, "matrix": "text", "layer": "integer", "role": "text", "measured": "number"},
        {"backbone": "text", **_CALIBRATED, "mass_lost": "number"}, of="pruning",
    ),
    RunTable(
        "semantic_loss", "Loss per cell × concept × layer (layer -1: all layers).", ("concept", "level", "layer"),
        {"backbone": "text", **SETTING, **_CONCEPT, "layer": "integer", "sl": "number", "sl_random": "number",
         **_with_ends("xsl"), "n_documents": "integer"},
        _CALIBRATED | _with_ends("wsl") | {"sl_floor": "number", "xsl_floor": "number"}, of="meaning",
        gives="the semantic loss of each concept",
    ),
    RunTable(
        "concepts", "How well each concept is represented in the dense model.", ("concept", "level"),
        {**_CONCEPT, "prevalence": "number", "ap_set": "number", "ap_neuron": "number", "discoveries": "integer",
         "n_positive": "integer", "n": "integer"},
        {"held_out_prevalence": "number"}, gives="how well each concept is represented",
    ),
    RunTable(
        "layer_concept", "Association strength per layer × concept.", ("concept", "level", "layer"),
        {**_CONCEPT, "layer": "integer", "strength": "number", "discoveries": "integer"},
        gives="where in the model each concept lives",
    ),
    RunTable(
        "neurons", "Top neurons per concept.", ("concept", "level", "rank"),
        {**_CONCEPT, "rank": "integer", "neuron": "text", "layer": "integer", "index": "integer", "effect": "number",
         "t": "number", "q": "number", "specificity": "number", "neuron_class": "text"},
        gives="the top neurons of each concept",
    ),
    RunTable(
        "contexts", "Tokens that excite each neuron, in context.", ("neuron", "rank"),
        {"neuron": "text", "rank": "integer", "before": "text", "token": "text", "after": "text", "dataset": "text",
         "document_id": "text", "activation": "number"},
        gives="the tokens that excite each neuron",
    ),
    RunTable(
        "written_tokens", "Tokens that each of these neurons makes most and least likely.", ("neuron", "rank"),
        {"neuron": "text", "rank": "integer", "promoted": "text", "promoted_logit": "number", "suppressed": "text",
         "suppressed_logit": "number"},
    ),
    RunTable(
        "neuron_activations", "Activation of each neuron, dense and pruned.", ("neuron", "concept"),
        {"neuron": "text", "concept": "text", **SETTING, "dense": "number", "pruned": "number", "kept_in": "number",
         "kept_out": "number"},
        {"backbone": "text", **_CALIBRATED}, of="meaning", gives="what pruning left of each neuron",
    ),
    RunTable(
        "word_activations", "Activation of a concept's neurons at each of its words, dense and pruned.",
        ("concept", "word", "neuron"),
        {"concept": "text", "word": "text", "neuron": "text", "n": "integer", **SETTING, "dense": "number",
         "pruned": "number"},
        of="meaning", gives="what each word of a concept excites",
    ),
    RunTable(
        "causal", "Scores with chosen neurons ablated.", ("target", "dataset", "selection", "metric"),
        {"target": "text", "dataset": "text", "selection": "text", "share": "number", "k": "integer",
         "draws": "integer", "metric": "text", "value": "number", "low": "number", "high": "number", "n": "integer",
         "difference": "number", "p": "number", **_with_ends("excess"), "excess_p": "number"},
        gives="the causal check",
    ),
    RunTable(
        "frontier", "What ablating neurons costs the task, and other text, at each size.",
        ("target", "dataset", "selection", "share", "measure"),
        {"target": "text", "dataset": "text", "selection": "text", "share": "number", "k": "integer",
         "draws": "integer", "measure": "text", **_with_ends("value"), "n": "integer"},
        asked=True,
    ),
    RunTable(
        "frontier_doses", "What the task loses where other text has lost a dose.",
        ("target", "dataset", "selection", "measure", "collateral", "dose"),
        {"target": "text", "dataset": "text", "selection": "text", "measure": "text", "collateral": "text",
         "dose": "number", "largest": "number", "share": "number", **_with_ends("lost"), **_with_ends("excess")},
        asked=True,
    ),
    RunTable(
        "mediation", "What activations of chosen neurons, patched between dense and pruned model, bring back and take.",
        ("dataset", "positions", "first_layer", "last_layer", "share", "ranking", "neurons", "into"),
        {"backbone": "text", **SETTING, "target": "text", "dataset": "text", "positions": "text",
         "first_layer": "integer", "last_layer": "integer", "share": "number", "ranking": "text", "neurons": "text",
         "into": "text", "k": "integer", "draws": "integer", "n": "integer", "dense": "number", "pruned": "number",
         **_with_ends("patched"), **_with_ends("recovered")},
        _CALIBRATED | {"prompt": "text", "label": "text"}, of="answers", asked=True,
    ),
    RunTable(
        "strengths", "What each strength of a protection costs and keeps, on text held out for the choice.",
        ("strength",),
        {"backbone": "text", **SETTING, "strength": "number", "perplexity": "number", "kept": "number",
         "dense_kept": "number", "budget": "number", "chosen": "flag"},
        _CALIBRATED, of="pruning", asked=True,
    ),
    RunTable(
        "carriers", "What single neurons of a set carry, alone and with the others.", ("target", "dataset", "neuron"),
        {"target": "text", "dataset": "text", "ranking": "text", "neuron": "text", "rank": "integer", "k": "integer",
         "n": "integer", "dense": "number", "together": "number", **_with_ends("alone"), **_with_ends("with_others"),
         "excited_by": "text", "writes": "text"},
        {"concepts": "text"}, asked=True,
    ),
    RunTable(
        "gate_controls", "What causal gates and their controls take from held-out items.",
        ("control", "dataset", "answers"),
        {"concept": "text", "control": "text", "dataset": "text", "answers": "text", "k": "integer",
         "seeds": "integer", "n": "integer", "dense": "number", **_with_ends("lost"), "kl": "number",
         "refused": "number"},
        asked=True,
    ),
    RunTable(
        "gate_overlap", "Whether seeds find the same causal gates, and whether different ones do as well.",
        ("concept", "first", "second"),
        {"concept": "text", "first": "integer", "second": "integer", "k": "integer", "shared": "number",
         "chance": "number", "lost_first": "number", "lost_second": "number", **_with_ends("more")},
        asked=True,
    ),
    RunTable(
        "readout_loss", "How much worse each concept is read back from its neurons.", ("concept", "level"),
        {**SETTING, **_CONCEPT, "ap_dense": "number", "ap_pruned": "number", **_with_ends("loss_frozen"),
         **_with_ends("loss_refit"), **_with_ends("moved"), "n_documents": "integer"},
        of="meaning", asked=True,
    ),
    RunTable(
        "causal_loss", "What the change at each concept's tokens does to the model.", ("concept", "level", "layer"),
        {**SETTING, **_CONCEPT, "layer": "integer", **_with_ends("change"), "own_change": "number",
         "own_low": "number", "own_high": "number", "n_tokens": "integer"},
        of="meaning", asked=True,
    ),
    RunTable(
        "causal_neurons", "The neurons through which it does that.", ("concept", "neuron"),
        {**SETTING, "concept": "text", "neuron": "text", "layer": "integer", "change": "number"},
        of="meaning", asked=True,
    ),
    RunTable(
        "predictions", "Answers per item, dense and pruned.", ("dataset", "prompt", "item_id"),
        {"backbone": "text", **SETTING, "dataset": "text", "prompt": "text", "item_id": "text", "document_id": "text",
         "label": "integer", "prediction": "integer", "scores": "numbers"},
        _CALIBRATED | {"lengths": "numbers"}, of="items",
    ),
    RunTable(
        "screening", "What the dense model can do, on items never evaluated: one row per data set × wording.",
        ("backbone", "dataset", "prompt"),
        {"backbone": "text", "family": "text", "dataset": "text", "prompt": "text", "metric": "text", "n": "integer",
         "guessing": "number", "dense": "number", "low": "number", "admitted": "flag", "chosen": "flag"},
        asked=True,
    ),
    RunTable(
        "task_concepts", "Which concepts are a data set's own.", ("dataset", "concept", "level"),
        {"dataset": "text", **_CONCEPT, "weight": "number"},
        gives="which concepts are a data set's own, so that their semantic loss could predict its drop",
    ),
    RunTable(
        "calibration", "Diversity of the calibration sequences, and their likeness to each data set.",
        (*DRAW, "dataset", "measure"),
        {**{column: SETTING[column] for column in DRAW}, "dataset": "text", "measure": "text", "value": "number"},
        gives="how diverse each calibration set is, and how like each data set",
    ),
    RunTable(
        "retained", "Share of the dense model's skill that is kept, by data set and family (its data set is empty).",
        ("family", "dataset", "prompt"),
        {**SETTING, "family": "text", "dataset": "text", "prompt": "text", "metric": "text", "n": "integer",
         "guessing": "number", "dense": "number", "pruned": "number", "dense_d_prime": "number",
         "pruned_d_prime": "number", "retained": "number", "low": "number", "high": "number"},
        {"backbone": "text", **_CALIBRATED}, of="answers",
    ),
)}  # fmt: skip

_ROW_KEYS = list(dict.fromkeys(key for table in TABLES.values() if table.by_cell for key in table.keys))


def stated_once(table: pd.DataFrame) -> pd.DataFrame:
    """A table by cell with each model that looked at no calibration stated once, with none.

    Example:
        >>> rows = {"backbone": "b", "method": "magnitude", "pattern": "unstructured", "sparsity": 0.5, "seed": 0,
        ...         "calibration": ["c4", "wiki"], "calibration_sequences": 8, "calibration_length": 64,
        ...         "calibrated": False, "value": 1.0}
        >>> stated_once(pd.DataFrame(rows))["calibration"].tolist()
        ['']
    """
    table = table.copy()
    if "calibrated" not in table:
        table["calibrated"] = table["calibration"] != ""
    free = ~table["calibrated"]
    table.loc[free, "calibration"] = ""
    table.loc[free, ["calibration_sequences", "calibration_length"]] = 0
    return table.drop_duplicates([*CELL, *(name for name in _ROW_KEYS if name in table)])
