"""What the causal section shows: scores with chosen neurons ablated, against random ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pandas as pd

from semprune.artefacts import records
from semprune.report.charts.dots import Axis, Chart, ChartRow, linear_axis, log_axis, mark, plot_height
from semprune.report.run.formats import p_value, percent
from semprune.report.run.load_run import RunArtefacts
from semprune.report.run.metrics import METRICS, Metric
from semprune.report.sections.section import Section

SELECTIONS = {
    "dense": ("Nothing", "the dense model"),
    "association": ("The association's top neurons", "what the fitted matrix names"),
    "gates": ("Causal gates", "neurons that the model needs, as learned"),
    "matched_random": ("Matched random neurons", "same layers, same activation strength"),
    "random": ("Random neurons", "any of the model's"),
    "mean_activation": ("The most active neurons", "largest mean activation"),
    "global": ("Global neurons", "answer most to any concept word"),
    "gradient_activation": ("Gradient × activation", "on other items of the data set"),
    "mean_ablation_gradient": ("Gradient × distance to the mean", "on other items of the data set"),
}
CHOSEN = ("association", "gates")
_PLAIN, _NAMED = 4, 0  # hue of the controls, hue of what was fitted


@dataclass(frozen=True, slots=True)
class CausalCheck:
    """One target on one data set: a chart per metric and a sentence that says what they show."""

    title: str
    about: str
    charts: list[Chart]


def causal_checks(run: RunArtefacts) -> list[CausalCheck]:
    """One check per target × data set × share; empty without ``causal.parquet``."""
    if run.causal is None:
        return []
    checks = []
    groups = run.causal.groupby(["target", "dataset", "share"], sort=False)
    for position, (_, rows) in enumerate(groups):
        first = records(rows)[0]
        charts = [
            _chart(rows[rows["metric"] == metric], METRICS[metric], f"causal-{position}-{metric}")
            for metric in dict.fromkeys(rows["metric"])
        ]
        about = (
            f"Each row replaces a set of {first['k']} neurons ({percent(first['share'], 1)}) by their mean activation "
            f"and scores {first['n']} held-out items of {first['dataset']} again; random sets are averaged over "
            f"{max(rows['draws'])} draws."
        )
        checks.append(CausalCheck(f"{first['target']}, on {first['dataset']}", about, charts))
    return checks


def _chart(rows: pd.DataFrame, metric: Metric, key: str) -> Chart:
    axis = _axis(rows, metric)
    found = {row["selection"]: row for row in records(rows)}
    order = [name for name in SELECTIONS if name in found] + [name for name in found if name not in SELECTIONS]
    return Chart(
        key=key,
        caption=f"{metric.label} after ablation, with 95 % interval. {metric.about}",
        row_header="Ablated",
        axis=axis,
        axis_label=metric.label + (" (logarithmic)" if axis.log else ""),
        columns=[metric.label, "p against dense", "against matched random"],
        rows=[_row(found[name], metric, axis) for name in order],
        legend=(),
        height=plot_height(1),
        reference=axis.percent(metric.scale * found["dense"]["value"]) if "dense" in found else None,
    )


def _axis(rows: pd.DataFrame, metric: Metric) -> Axis:
    ends = metric.scale * rows[["value", "low", "high"]].to_numpy().ravel()
    if not metric.higher_is_better:
        return log_axis(ends)
    return linear_axis(ends, origin=float(rows["value"].min()) * metric.scale)


def _row(row: dict[str, Any], metric: Metric, axis: Axis) -> ChartRow:
    label, note = SELECTIONS.get(row["selection"], (row["selection"].replace("_", " "), ""))
    hue = _NAMED if row["selection"] in CHOSEN else _PLAIN
    scaled = [metric.scale * row[part] for part in ("value", "low", "high")]
    dot = mark(axis, scaled[0], scaled[1], scaled[2], shape=0, hue=hue)
    texts = [
        f"{metric.number(row['value'])} {metric.interval(row['low'], row['high'])}",
        "" if row["selection"] == "dense" else p_value(row["p"]),
        "" if row["selection"] in ("dense", "matched_random") else _excess(row, metric),
    ]
    return ChartRow(label, note, [] if dot is None else [(plot_height(1) / 2, dot)], texts)


def _excess(row: dict[str, Any], metric: Metric) -> str:
    ends = metric.interval(row["excess_low"], row["excess_high"])
    return f"{metric.number(row['excess'])} {ends}, p {p_value(row['excess_p'])}"


def _view(run: RunArtefacts, _: RunArtefacts) -> dict[str, Any]:
    asked = (run.provenance or {}).get("settings") or {}
    return {"checks": causal_checks(run), "causal_left_out": "causal" in asked and asked["causal"] is None}


SECTION = Section("causal", "Causal check", _view, folder="sections/ablation")
