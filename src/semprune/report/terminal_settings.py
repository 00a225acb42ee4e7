"""The terminal's table of a run with many pruned models: one row each, or one per method and amount."""

from __future__ import annotations

from typing import Any

import pandas as pd
from rich.table import Table
from rich.text import Text

from semprune.report.run.formats import TIMES, number
from semprune.report.run.load import RunArtefacts
from semprune.report.run.metrics import METRICS
from semprune.report.run.schema import records
from semprune.report.tables.headline import VERDICTS, family_table, headline_table
from semprune.report.tables.pooled import is_crowded, pooled

_STYLES = {"worse": "bold red", "better": "bold green", "unclear": "dim"}


def settings_table(run: RunArtefacts) -> Table:
    """Pruned models × families: mean drop in points with its interval, and how much the perplexity grows.

    Args:
        run: The run's artefacts; with very many models their means per method and amount are shown.

    Returns:
        A table for ``rich.console.Console.print``.
    """
    crowded = is_crowded(run)
    shown = pooled(run) if crowded else run
    headline = headline_table(shown)
    families = family_table(headline)
    names = list(dict.fromkeys(families["family"]))
    caption = "mean drop in points over a family's data sets with its 95 % interval; ▼ clearly worse, ▲ clearly better"
    if crowded:
        caption += f"; means of {len(run.settings)} pruned models over calibration sets and draws"
    table = Table(title="What pruning cost", caption=caption, box=None, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("pruned", no_wrap=True)
    for name in names:
        metric = METRICS[families.loc[families["family"] == name, "metric"].iloc[0]]
        table.add_column(f"{name.capitalize()}\n{metric.short}", no_wrap=True)
    table.add_column("Perpl.", justify="right", no_wrap=True)
    texts = headline[headline["family"] == "language_modelling"]
    for setting in shown.settings:
        own = {row["family"]: row for row in records(families[families["setting"] == setting.label])}
        drops = [_drop(own[name]) if name in own else Text("") for name in names]
        table.add_row(setting.label, *drops, _growth(texts[texts["setting"] == setting.label]))
    return table


def _drop(row: dict[str, Any]) -> Text:
    metric = METRICS[row["metric"]]
    interval = metric.interval(row["damage_low"], row["damage_high"])
    text = f"{metric.number(row['damage'])} {VERDICTS[row['verdict']]}\n{interval}"
    return Text(text, _STYLES[row["verdict"]])


def _growth(rows: pd.DataFrame) -> str:
    """Growth of the first text's perplexity."""
    if rows.empty:
        return ""
    first = records(rows)[0]
    return f"{TIMES}{number(first['value'] / first['dense'])}"
