"""Columns of every artefact that the report reads; columns beyond these are ignored."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pyarrow as pa

_SETTING = {
    "method": "text", "pattern": "text", "sparsity": "number", "calibration": "text",
    "calibration_sequences": "integer", "calibration_length": "integer", "seed": "integer",
}  # fmt: skip
_CONCEPT = {"concept": "text", "level": "text"}

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
}  # fmt: skip


def column_fault(table: pa.Table, column: str, kind: str) -> str | None:
    """What is wrong with one column of a table; None where it is as it should be.

    Args:
        table: The table that was read.
        column: Name of the column.
        kind: ``text``, ``integer`` or ``number`` (integers are numbers; only numbers may be empty).
    """
    if table.column_names.count(column) != 1:
        return f"column '{column}' is missing" if column not in table.column_names else f"column '{column}' is double"
    stored = table.schema.field(column).type
    stored = stored.value_type if pa.types.is_dictionary(stored) else stored
    if kind == "text":
        fits = pa.types.is_string(stored) or pa.types.is_large_string(stored) or pa.types.is_string_view(stored)
    else:
        fits = pa.types.is_integer(stored) or (kind == "number" and pa.types.is_floating(stored))
    if not fits:
        return f"column '{column}' holds {stored}, not {kind}"
    if kind != "number" and table.column(column).null_count:
        return f"column '{column}' has empty entries"
    return None


def records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows of a frame as dictionaries by column name.

    Example:
        >>> records(pd.DataFrame({"a": [1], "b": ["x"]}))
        [{'a': 1, 'b': 'x'}]
    """
    return [{str(column): value for column, value in row.items()} for row in frame.to_dict("records")]
