"""Columns of every artefact that the report reads; columns beyond these and the optional ones are ignored."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pyarrow as pa

_SETTING = {
    "method": "text", "pattern": "text", "sparsity": "number", "calibration": "text",
    "calibration_sequences": "integer", "calibration_length": "integer", "seed": "integer",
}  # fmt: skip
_CONCEPT = {"concept": "text", "level": "text"}


def _with_ends(name: str) -> dict[str, str]:
    return {name: "number", f"{name}_low": "number", f"{name}_high": "number"}


SCHEMAS: dict[str, dict[str, str]] = {
    "results": {
        "backbone": "text", **_SETTING, "dataset": "text", "family": "text", "prompt": "text", "metric": "text",
        "value": "number", "low": "number", "high": "number", "n": "integer", "dense": "number",
        "difference": "number", "difference_low": "number", "difference_high": "number", "p": "number",
    },
    "sparsity": {**_SETTING, "matrix": "text", "layer": "integer", "role": "text", "measured": "number"},
    "semantic_loss": {
        "backbone": "text", **_SETTING, **_CONCEPT, "layer": "integer", "sl": "number", "sl_random": "number",
        "xsl": "number", "xsl_low": "number", "xsl_high": "number", "n_documents": "integer",
    },
    "concepts": {
        **_CONCEPT, "prevalence": "number", "ap_set": "number", "ap_neuron": "number", "discoveries": "integer",
        "n_positive": "integer", "n": "integer",
    },
    "layer_concept": {**_CONCEPT, "layer": "integer", "strength": "number", "discoveries": "integer"},
    "neurons": {
        **_CONCEPT, "rank": "integer", "neuron": "text", "layer": "integer", "index": "integer", "effect": "number",
        "t": "number", "q": "number", "specificity": "number", "neuron_class": "text",
    },
    "contexts": {
        "neuron": "text", "rank": "integer", "before": "text", "token": "text", "after": "text", "dataset": "text",
        "document_id": "text", "activation": "number",
    },
    "neuron_activations": {
        "neuron": "text", "concept": "text", **_SETTING, "dense": "number", "pruned": "number",
        "kept_in": "number", "kept_out": "number",
    },
    "word_activations": {
        "concept": "text", "word": "text", "neuron": "text", "n": "integer", **_SETTING, "dense": "number",
        "pruned": "number",
    },
    "causal": {
        "target": "text", "dataset": "text", "selection": "text", "share": "number", "k": "integer",
        "draws": "integer", "metric": "text", "value": "number", "low": "number", "high": "number", "n": "integer",
        "difference": "number", "p": "number", "excess": "number", "excess_low": "number", "excess_high": "number",
        "excess_p": "number",
    },
    "readout_loss": {
        **_SETTING, **_CONCEPT, "ap_dense": "number", "ap_pruned": "number", **_with_ends("loss_frozen"),
        **_with_ends("loss_refit"), **_with_ends("moved"), "n_documents": "integer",
    },
    "causal_loss": {
        **_SETTING, **_CONCEPT, "layer": "integer", **_with_ends("change"), "own_change": "number",
        "own_low": "number", "own_high": "number", "n_tokens": "integer",
    },
    "causal_neurons": {**_SETTING, "concept": "text", "neuron": "text", "layer": "integer", "change": "number"},
    "predictions": {
        "backbone": "text", **_SETTING, "dataset": "text", "prompt": "text", "item_id": "text", "document_id": "text",
        "label": "integer", "prediction": "integer", "scores": "numbers",
    },
    "task_concepts": {"dataset": "text", **_CONCEPT, "weight": "number"},
    "calibration": {
        "calibration": "text", "calibration_sequences": "integer", "calibration_length": "integer", "seed": "integer",
        "dataset": "text", "measure": "text", "value": "number",
    },
}  # fmt: skip

OPTIONAL_COLUMNS: dict[str, dict[str, str]] = {
    "results": {"calibrated": "flag"},
    "predictions": {"calibrated": "flag"},
    "sparsity": {"backbone": "text", "calibrated": "flag", "mass_lost": "number"},
    "neuron_activations": {"backbone": "text", "calibrated": "flag"},
    "semantic_loss": {"calibrated": "flag", "wsl": "number", "wsl_low": "number", "wsl_high": "number"},
}
"""Columns that only newer runs or studies have: read and checked where they are there."""

SETTING_TABLES = tuple(name for name, schema in SCHEMAS.items() if "method" in schema and name != "predictions")
"""Tables whose rows carry a setting's label; predictions are only read per item."""


def column_fault(table: pa.Table, column: str, kind: str) -> str | None:
    """What is wrong with one column of a table; None where it is as it should be.

    Args:
        table: The table that was read.
        column: Name of the column.
        kind: ``text``, ``flag``, ``integer``, ``number`` (integers are numbers; only numbers may be empty), or
            ``numbers``, a list of them in each row.
    """
    if table.column_names.count(column) != 1:
        return f"column '{column}' is missing" if column not in table.column_names else f"column '{column}' is double"
    stored = table.schema.field(column).type
    stored = stored.value_type if pa.types.is_dictionary(stored) else stored
    if not _fits(stored, kind):
        return f"column '{column}' holds {stored}, not {kind}"
    if kind != "number" and table.column(column).null_count:
        return f"column '{column}' has empty entries"
    return None


def _fits(stored: pa.DataType, kind: str) -> bool:
    if kind == "text":
        return bool(pa.types.is_string(stored) or pa.types.is_large_string(stored) or pa.types.is_string_view(stored))
    if kind == "flag":
        return bool(pa.types.is_boolean(stored))
    if kind == "numbers":
        is_list = pa.types.is_list(stored) or pa.types.is_large_list(stored) or pa.types.is_fixed_size_list(stored)
        return bool(is_list and _fits(stored.value_type, "number"))
    return bool(pa.types.is_integer(stored) or (kind == "number" and pa.types.is_floating(stored)))


def records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows of a frame as dictionaries by column name.

    Example:
        >>> records(pd.DataFrame({"a": [1], "b": ["x"]}))
        [{'a': 1, 'b': 'x'}]
    """
    return [{str(column): value for column, value in row.items()} for row in frame.to_dict("records")]
