"""What the mediation section shows: how much of a drop neurons' dense activations bring back."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pandas as pd

from semprune.artefacts import records
from semprune.report.charts.dots import MOST_COLUMNS, Axis, Chart, ChartRow, lanes, linear_axis, plot_height
from semprune.report.run.labels import Setting, settings_of
from semprune.report.run.load_run import RunArtefacts
from semprune.report.sections.section import Section
from semprune.report.tables.mediation import asked_label, mediation_text, neurons_label, recovered_text, where_label
from semprune.report.tables.text_table import TextTable

FARTHEST = (-50.0, 150.0)  # per cent; a mark beyond stands on the margin, its number beside it
VERBS = {"pruned": "Brought back", "dense": "Taken away"}
ABOUT = {
    "pruned": "Share of the AUROC that pruning took which comes back when these neurons have their dense activations",
    "dense": "Share of it that the dense model loses when these neurons have their pruned activations",
}
UNDRAWN = "Nothing is drawn where the pruned model's AUROC is not clearly below the dense one's."


@dataclass(frozen=True, slots=True)
class MediationView:
    """One data set, patched at one place: a chart for each direction."""

    title: str
    charts: list[Chart]


def mediation_views(run: RunArtefacts) -> tuple[list[MediationView], TextTable] | None:
    """The views, and everything as a table; None without ``mediation.parquet``."""
    if run.mediation is None:
        return None
    settings = settings_of(run.mediation, run.methods)
    views: list[MediationView] = []
    for _, own in run.mediation.groupby(["dataset", "positions", "first_layer", "last_layer"], sort=False):
        first = records(own)[0]
        key = f"mediation-{len(views)}"
        charts = [_chart(rows, str(into), settings, key) for into, rows in own.groupby("into", sort=False)]
        views.append(MediationView(f"{asked_label(first)}, patched {where_label(first)}", charts))
    return views, mediation_text(run.mediation)


def _chart(rows: pd.DataFrame, into: str, settings: tuple[Setting, ...], key: str) -> Chart:
    shown = [setting for setting in settings if setting.label in set(rows["setting"])]
    axis, few = _axis(rows), len(shown) <= MOST_COLUMNS
    return Chart(
        key=f"{key}-{into}",
        caption=f"{ABOUT[into]}, with 95 % interval; 100 % is all of it. {UNDRAWN}",
        row_header="Neurons",
        axis=axis,
        axis_label=f"{VERBS[into]}, %",
        columns=[setting.label for setting in shown] if few else [],
        rows=list(_rows(rows, axis, shown, few)),
        legend=shown,
        height=plot_height(len(shown)),
        reference=axis.percent(100.0),
    )


def _axis(rows: pd.DataFrame) -> Axis:
    ends = 100 * rows[["recovered", "recovered_low", "recovered_high"]].to_numpy().ravel()
    return linear_axis([*ends.clip(*FARTHEST), 100.0])


def _rows(rows: pd.DataFrame, axis: Axis, settings: list[Setting], few: bool) -> Iterator[ChartRow]:
    for (ranking, _), own in rows.groupby(["ranking", "neurons"], sort=False):
        found = {row["setting"]: row for row in records(own)}
        ends = {
            label: (100 * row["recovered"], 100 * row["recovered_low"], 100 * row["recovered_high"])
            for label, row in found.items()
        }
        name = neurons_label(next(iter(found.values())))
        texts = [recovered_text(found[each.label]) if each.label in found else "" for each in settings] if few else []
        yield ChartRow(name[0].upper() + name[1:], f"by {ranking}", lanes(axis, settings, ends), texts)


def _view(_: RunArtefacts, shown: RunArtefacts) -> dict[str, Any] | None:
    found = mediation_views(shown)
    return None if found is None else {"mediations": found[0], "mediation_table": found[1]}


SECTION = Section("mediation", "Mediation", _view, folder="sections/ablation")
