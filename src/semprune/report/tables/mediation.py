"""Mediation as a table: what patched neurons bring back of a task, and what they take from it."""

from __future__ import annotations

from typing import Any

import pandas as pd

from semprune.artefacts import records
from semprune.report.run.formats import MISSING, interval, number
from semprune.report.tables.text_table import TextTable

WHERE = {"all": "everywhere", "before_readout": "before the readout", "readout": "at the readout"}
NOTHING_LOST = "nothing lost"
CAPTION = (
    "AUROC after activations of neurons were patched from the dense into the pruned model, and the share of the lost "
    "AUROC that this brings back; then the reverse. 95 % intervals are paired by document, and over draws where they "
    "are random; "
    "“nothing lost”: the pruned model's AUROC is not clearly below the dense one's."
)
HEADER = ["data set", "pruned", "where", "ranked by", "neurons", "pruned, patched", "brought back", "dense, patched",
          "taken away"]  # fmt: skip
_GROUP = ["dataset", "setting", "positions", "first_layer", "last_layer"]


def mediation_text(table: pd.DataFrame) -> TextTable:
    """The table for people: a row per set of neurons, after one of both models as they are.

    Args:
        table: ``mediation.parquet`` with a column ``setting``, which names the pruned model.
    """
    rows = []
    for (_, setting, *_), own in table.groupby(_GROUP, sort=False):
        first = records(own)[0]
        start = [asked_label(first), str(setting), where_label(first)]
        rows.append([*start, "", "none", _auroc(first["pruned"]), "", _auroc(first["dense"]), ""])
        for (ranking, _), both in own.groupby(["ranking", "neurons"], sort=False):
            into = {row["into"]: row for row in records(both)}
            cells = [cell for name in ("pruned", "dense") for cell in _cells(into.get(name))]
            rows.append([*start, str(ranking), neurons_label(next(iter(into.values()))), *cells])
    return TextTable(CAPTION, HEADER, rows, names=5)


def asked_label(row: dict[str, Any]) -> str:
    """Which data set was asked, which of its classes is told from all others, and in which wording.

    Example:
        >>> asked_label({"dataset": "bbc_news", "label": "entertainment", "prompt": "section"})
        'bbc_news.entertainment, asked as section'
        >>> asked_label({"dataset": "tweets"})  # of an older run
        'tweets'
    """
    told = f"{row['dataset']}.{row['label']}" if row.get("label") else str(row["dataset"])
    return f"{told}, asked as {row['prompt']}" if row.get("prompt") else told


def neurons_label(row: dict[str, Any]) -> str:
    """Which neurons a row patches.

    Example:
        >>> [neurons_label({"neurons": kind, "k": 460, "draws": 3}) for kind in ("chosen", "matched", "others")]
        ['first 460', '460 matched, 3 draws', 'all other 460']
    """
    count = f"{row['k']:,}"
    return {"chosen": f"first {count}", "others": f"all other {count}"}.get(
        row["neurons"], f"{count} matched, {row['draws']} draws"
    )


def recovered_text(row: dict[str, Any]) -> str:
    """Share of the way to the other model, with its interval; words where there is no way."""
    if pd.isna(row["dense"]) or pd.isna(row["pruned"]):
        return MISSING
    if pd.isna(row["recovered"]):
        return NOTHING_LOST
    ends = interval(100 * row["recovered_low"], 100 * row["recovered_high"], 0)
    return f"{number(100 * row['recovered'], 0)} % {ends}"


def where_label(row: dict[str, Any]) -> str:
    """Where a row's activations are patched."""
    return f"{WHERE.get(row['positions'], row['positions'])}, layers {row['first_layer']} to {row['last_layer']}"


def _cells(row: dict[str, Any] | None) -> tuple[str, str]:
    return ("", "") if row is None else (_auroc(row["patched"]), recovered_text(row))


def _auroc(value: float) -> str:
    return MISSING if pd.isna(value) else f"{value:.3f}"
