"""The chart of mean drops per task family."""

from __future__ import annotations

from typing import Any

import pandas as pd

from semprune.report.charts.axes import linear_axis
from semprune.report.charts.dots import MOST_COLUMNS, Chart, ChartRow, lanes, plot_height
from semprune.report.run.labels import family_label
from semprune.report.run.load import RunArtefacts
from semprune.report.run.metrics import METRICS, Metric
from semprune.report.run.schema import records
from semprune.report.tables.headline import PARTS, family_table

FAMILY_CAPTION = (
    "Mean drop per task family with its 95 % interval. Each mean weighs its data sets equally, and its interval "
    "combines their paired intervals as independent ones; it speaks of these data sets, not of others like them."
)


def shown_ends(table: pd.DataFrame) -> list[float]:
    """Every damage of a table with both ends of its interval, as shown: what an axis has to hold."""
    return [row[part] * METRICS[row["metric"]].scale for row in records(table) for part in PARTS]


def family_chart(run: RunArtefacts, key: str, word: str, table: pd.DataFrame) -> Chart:
    """Mean damage per family, a lane per setting.

    Args:
        run: The run's artefacts.
        key: Name of the panel the chart stands in.
        word: What getting worse is called there: drop or rise.
        table: What :func:`semprune.report.tables.headline.headline_table` returned.

    Returns:
        The chart.
    """
    families = family_table(table)
    axis = linear_axis(shown_ends(families))
    rows = []
    for family, group in families.groupby("family", sort=False):
        metric = METRICS[group["metric"].iloc[0]]
        means = {row["setting"]: row for row in records(group)}
        points = {name: tuple(row[part] * metric.scale for part in PARTS) for name, row in means.items()}
        count = int(group["datasets"].max())
        note = f"{metric.label}, {count} data set{'s' if count > 1 else ''}"
        texts = [_mean_text(means.get(setting.label), metric) for setting in run.settings]
        rows.append(ChartRow(family_label(str(family)), note, lanes(axis, run.settings, points), texts))
    wide = len(run.settings) <= MOST_COLUMNS
    return Chart(
        key=f"families-{key}",
        caption=FAMILY_CAPTION,
        row_header="Task family",
        axis=axis,
        axis_label=f"mean {word} in points (right of zero: worse than dense)",
        columns=[f"{setting.label}: mean {word}" for setting in run.settings] if wide else [],
        rows=rows if wide else [ChartRow(row.label, row.note, row.marks, []) for row in rows],
        legend=run.settings,
        height=plot_height(len(run.settings)),
    )


def _mean_text(row: dict[str, Any] | None, metric: Metric) -> str:
    if row is None:
        return ""
    return f"{metric.number(row['damage'])} {metric.interval(row['damage_low'], row['damage_high'])}"
