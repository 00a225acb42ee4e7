"""The causal frontier as tables: what ablation costs a task against what it costs other text."""

from __future__ import annotations

from typing import Any

import pandas as pd

from semprune.artefacts import records
from semprune.report.run.formats import MISSING, interval, number
from semprune.report.tables.text_table import TextTable

MEASURES = {
    "auroc_lost": ("AUROC lost", 100, 1),
    "concept_logprob_lost": ("words, nats lost", 1, 3),
    "kl_general": ("KL, text", 1, 3),
    "log_perplexity_general": ("log-perplexity, text", 1, 3),
    "kl_domain": ("KL, domain", 1, 3),
    "log_perplexity_domain": ("log-perplexity, domain", 1, 3),
}
"""Of each measure what it is called, the factor to the shown value, and its decimals."""
DOSE = "kl_general"
"""What of other text the tables and the plot compare at."""


def frontier_text(points: pd.DataFrame) -> TextTable:
    """The points: a row per size and set of neurons, a column per measure.

    Args:
        points: ``frontier.parquet``.
    """
    names = [name for name in MEASURES if name in set(points["measure"])]
    rows = []
    for (_, _, k, selection), own in points.groupby(["target", "dataset", "k", "selection"], sort=False):
        found = {row["measure"]: row for row in records(own)}
        rows.append([f"{k:,}", str(selection), *(_shown(found[name], name) for name in names)])
    header = ["neurons", "set", *(MEASURES[name][0] for name in names)]
    return TextTable("Lost by ablation, with 95 % intervals: AUROC in points, texts in nats.", header, rows, names=2)


def dose_text(doses: pd.DataFrame, collateral: str = DOSE) -> TextTable:
    """Losses at equal cost: a row per task measure and set of neurons, a column per dose.

    Args:
        doses: ``frontier_doses.parquet``.
        collateral: Which cost.
    """
    own = doses[doses["collateral"] == collateral]
    every = sorted(own["dose"].unique())
    rows = []
    for (_, _, measure, selection), each in own.groupby(["target", "dataset", "measure", "selection"], sort=False):
        found = {row["dose"]: row for row in records(each)}
        name = str(measure)
        rows.append([MEASURES[name][0], str(selection), *(_at(found[dose], name) for dose in every)])
    about = (
        f"Lost where “{MEASURES[collateral][0]}” has reached a dose, and at what share of all neurons that is; "
        "between sizes on straight lines, beyond the largest size nothing is said."
    )
    return TextTable(about, ["lost", "set", *(f"at {dose:g} nats" for dose in every)], rows, names=2)


def _at(row: dict[str, Any], measure: str) -> str:
    if row["largest"] >= row["dose"] and pd.isna(row["lost"]):
        return MISSING
    if pd.isna(row["lost"]):
        return f"not reached (< {row['largest']:.3g})"
    _, scale, digits = MEASURES[measure]
    ends = interval(scale * row["lost_low"], scale * row["lost_high"], digits)
    return f"{number(scale * row['lost'], digits)} {ends}, {100 * row['share']:.2g} %"


def _shown(row: dict[str, Any], measure: str) -> str:
    _, scale, digits = MEASURES[measure]
    value, low, high = (scale * row[column] for column in ("value", "value_low", "value_high"))
    return f"{number(value, digits)} {interval(low, high, digits)}"
