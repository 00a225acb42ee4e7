"""The chart of the headline: which share of its skill each task family keeps."""

from __future__ import annotations

import pandas as pd

from semprune.artefacts import records
from semprune.report.charts.dots import MOST_COLUMNS, Chart, ChartRow, lanes, linear_axis, plot_height
from semprune.report.run.labels import family_label
from semprune.report.run.load_run import RunArtefacts
from semprune.report.tables.skill import kept

KEPT_CAPTION = (
    "Share of the dense model's skill that each task family keeps, pooled over its data sets, with its 95 % interval, "
    "paired by item; it speaks of these data sets, not of others like them."
)
KEPT_AXIS = (-50.0, 150.0)  # per cent; an interval may end anywhere beyond


def kept_chart(run: RunArtefacts, table: pd.DataFrame) -> Chart:
    """Share of skill that each family keeps, a lane per setting.

    Args:
        run: The run's artefacts.
        table: What :func:`semprune.report.tables.skill.skill_table` returned.
    """
    pooled = table[(table["dataset"] == "") & table["low"].notna()]
    shares = {(row["family"], row["setting"]): row for row in records(pooled)}
    points = {key: tuple(100 * row[part] for part in ("retained", "low", "high")) for key, row in shares.items()}
    axis = linear_axis(
        [100.0, *(min(max(end, KEPT_AXIS[0]), KEPT_AXIS[1]) for ends in points.values() for end in ends)]
    )
    wide, rows = len(run.settings) <= MOST_COLUMNS, []
    for family in dict.fromkeys(pooled["family"]):
        own = {setting: ends for (name, setting), ends in points.items() if name == family}
        texts = [kept(shares[family, setting.label]) if setting.label in own else "" for setting in run.settings]
        rows.append(ChartRow(family_label(family), "", lanes(axis, run.settings, own), texts if wide else []))
    return Chart(
        key="families-skill",
        caption=KEPT_CAPTION,
        row_header="Task family",
        axis=axis,
        axis_label="skill kept, in per cent of the dense model's (100: nothing lost, 0: guessing)",
        columns=[f"{setting.label}: skill kept" for setting in run.settings] if wide else [],
        rows=rows,
        legend=run.settings,
        height=plot_height(len(run.settings)),
        reference=axis.percent(100.0),
    )
