"""What the frontier section shows: what ablation costs a task against what it costs other text, by ranking."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import pandas as pd

from semprune.artefacts import records
from semprune.report.charts.curves import Curve, Curves, band, placed, ticks_up
from semprune.report.charts.dots import linear_axis, log_axis
from semprune.report.run.labels import HUES, SHAPES
from semprune.report.run.load_run import RunArtefacts
from semprune.report.sections.ablation.causal import SELECTIONS
from semprune.report.sections.section import Section
from semprune.report.tables.frontier import DOSE, MEASURES, dose_text, frontier_text
from semprune.report.tables.text_table import TextTable

CONTROLS = ("matched_random", "random", "mean_activation", "global")
GREY = 4  # hue of the controls


@dataclass(frozen=True, slots=True)
class FrontierView:
    """One target on one data set: a chart per measure of the task, and both tables."""

    title: str
    key: str
    charts: list[Curves]
    doses: TextTable
    points: TextTable


def frontier_views(run: RunArtefacts) -> list[FrontierView]:
    """One view per target × data set; empty without ``frontier.parquet``."""
    if run.frontier is None or run.frontier_doses is None:
        return []
    views = []
    for place, ((target, dataset), own) in enumerate(run.frontier.groupby(["target", "dataset"], sort=False)):
        doses = run.frontier_doses
        doses = doses[(doses["target"] == target) & (doses["dataset"] == dataset)]
        losses = [name for name in MEASURES if name.endswith("_lost") and name in set(own["measure"])]
        charts = [_chart(own, loss, f"frontier-{place}-{loss}") for loss in losses]
        title = f"{target}, on {dataset}"
        views.append(FrontierView(title, f"frontier-{place}", charts, dose_text(doses), frontier_text(own)))
    return views


def _chart(points: pd.DataFrame, loss: str, key: str) -> Curves:
    name, scale, _ = MEASURES[loss]
    own = points[points["measure"].isin([loss, DOSE])]
    wide = {str(selection): _joined(rows, loss) for selection, rows in own.groupby("selection", sort=False)}
    across = log_axis(value for rows in wide.values() for value in rows["cost"])
    ends = [scale * value for rows in wide.values() for value in rows["value"]]
    matched = wide.get("matched_random")
    if matched is not None:
        ends += [scale * value for column in ("low", "high") for value in matched[column]]
    up = linear_axis(ends, ticks=6)
    curves = []
    for label, shape, hue, selection in _drawn(wide):
        rows = records(wide[selection])
        marks = placed(across, up, [(row["cost"], scale * row["value"]) for row in rows])
        around = [(row["cost"], scale * row["low"], scale * row["high"]) for row in rows]
        corners = band(across, up, around) if selection == "matched_random" else ""
        curves.append(Curve(label, shape, hue, marks, corners))
    about = (
        f"{name} (upwards) against divergence from the dense model on text of no domain (to the right, logarithmic), "
        "a mark per number of ablated neurons. The higher at the left, the better a ranking names what the task alone "
        "needs. The band is the 95 % interval of matched random neurons, over documents and draws."
    )
    return Curves(key, about, across, "KL per token, nats", name, ticks_up(up), curves)


def _joined(rows: pd.DataFrame, loss: str) -> pd.DataFrame:
    """Cost and loss of a set, one row per size, smallest first."""
    by_share = rows.sort_values("share").set_index("share")
    own, cost = by_share[by_share["measure"] == loss], by_share[by_share["measure"] == DOSE]["value"]
    columns = {"value": own["value"], "low": own["value_low"], "high": own["value_high"]}
    return pd.DataFrame({"cost": cost, **columns}).dropna(subset=["cost", "value"])


def _drawn(names: Iterable[str]) -> list[tuple[str, int, int, str]]:
    """Label, marker and colour of each curve, controls at the back and in grey."""
    present = list(names)
    controls = [name for name in CONTROLS if name in present]
    rankings = [name for name in present if name not in CONTROLS]
    hues = [hue for hue in range(HUES) if hue != GREY]
    drawn = [(_label(name), place % SHAPES, GREY, name) for place, name in enumerate(controls)]
    return drawn + [
        (_label(name), place % SHAPES, hues[place % len(hues)], name) for place, name in enumerate(rankings)
    ]


def _label(name: str) -> str:
    return SELECTIONS[name][0] if name in SELECTIONS else name.replace("_", " ")


def _view(run: RunArtefacts, _: RunArtefacts) -> dict[str, Any] | None:
    views = frontier_views(run)
    return {"frontiers": views} if views else None


SECTION = Section("frontier", "Frontier", _view, folder="sections/ablation")
