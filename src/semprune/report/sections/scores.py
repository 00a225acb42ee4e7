"""What the score section shows: per metric the family chart and the headline table; perplexities apart."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby
from typing import Any

import pandas as pd

from semprune.report.charts.axes import Axis, Mark, linear_axis, mark
from semprune.report.charts.dots import Chart
from semprune.report.run.formats import TIMES, number, p_value
from semprune.report.run.labels import Setting, family_label
from semprune.report.run.load import RunArtefacts
from semprune.report.run.metrics import METRICS, Metric
from semprune.report.run.schema import records
from semprune.report.sections.family_chart import family_chart, shown_ends
from semprune.report.tables.headline import PARTS, VERDICTS, headline_table, item_labels


@dataclass(frozen=True, slots=True)
class ScoreRow:
    """One data set × setting, as text, with its mark."""

    setting: Setting
    dense: str
    dense_interval: str
    pruned: str
    pruned_interval: str
    damage: str
    damage_interval: str
    p: str
    p_raw: str
    ratio: str
    verdict: str
    sign: str
    mark: Mark | None


@dataclass(frozen=True, slots=True)
class Family:
    """A task family: its name, its metric and its data sets' rows (name, items, rows)."""

    label: str
    metric: Metric
    items: list[tuple[str, int, list[ScoreRow]]]


@dataclass(frozen=True, slots=True)
class ScorePanel:
    """One tab: a metric (or each family's own), its chart and its table."""

    key: str
    label: str
    about: str
    axis: Axis
    families: list[Family]
    chart: Chart | None
    survivors: str
    loss_word: str


def score_panels(run: RunArtefacts) -> list[ScorePanel]:
    """One panel for the families' own metrics, then one per metric; perplexity is not among them."""
    overview = (
        "Each family by the metric that says most about it, one that a shifted preference for an answer word cannot "
        "move where there is one. The other tabs show one metric for every data set that has it."
    )
    panels = [_panel(run, "overview", "Overview", overview, headline_table(run))]
    for metric in METRICS.values():
        if metric.name != "perplexity" and metric.name in set(run.results["metric"]):
            panels.append(_panel(run, metric.name, metric.label, metric.about, headline_table(run, metric.name)))
    return [panel for panel in panels if panel.families]


def perplexity_panel(run: RunArtefacts) -> ScorePanel | None:
    """The perplexity table; None where the run measured none."""
    metric = METRICS["perplexity"]
    table = headline_table(run, metric.name)
    return None if table.empty else _panel(run, metric.name, metric.label, metric.about, table, scored=False)


def _panel(
    run: RunArtefacts, key: str, label: str, about: str, table: pd.DataFrame, *, scored: bool = True
) -> ScorePanel:
    if scored:
        table = table[table["metric"] != "perplexity"]
    table = table.assign(label=item_labels(table))
    axis = linear_axis(shown_ends(table))
    families = [_family(run, rows, axis) for _, rows in table.groupby("family", sort=False)]
    word = METRICS[key].loss_word if key in METRICS else "drop"
    chart = family_chart(run, key, word, table) if scored and families else None
    return ScorePanel(key, label, about, axis, families, chart, _survivors(table), word)


def _family(run: RunArtefacts, rows: pd.DataFrame, axis: Axis) -> Family:
    settings = {setting.label: setting for setting in run.settings}
    metric = METRICS[rows["metric"].iloc[0]]
    items = [
        (label, int(n), [_score_row(row, settings[row["setting"]], metric, axis) for row in group])
        for (label, n, _), group in groupby(records(rows), key=lambda row: (row["label"], row["n"], row["dense"]))
    ]
    return Family(family_label(rows["family"].iloc[0]), metric, items)


def _score_row(row: dict[str, Any], setting: Setting, metric: Metric, axis: Axis) -> ScoreRow:
    point = [row[part] * metric.scale for part in PARTS]
    return ScoreRow(
        setting=setting,
        dense=metric.number(row["dense"]),
        dense_interval=metric.interval(row["dense_low"], row["dense_high"]),
        pruned=metric.number(row["value"]),
        pruned_interval=metric.interval(row["low"], row["high"]),
        damage=metric.number(row["damage"]),
        damage_interval=metric.interval(row["damage_low"], row["damage_high"]),
        p=p_value(row["p_holm"]),
        p_raw=p_value(row["p"]),
        ratio=f"{TIMES}{number(row['value'] / row['dense'])}" if row["dense"] else "",
        verdict=row["verdict"],
        sign=VERDICTS[row["verdict"]],
        mark=mark(axis, point[0], point[1], point[2], shape=setting.shape, hue=setting.hue),
    )


def _survivors(table: pd.DataFrame) -> str:
    """How many drops hold after the correction, per setting."""
    counts = []
    for setting, rows in table.groupby("setting", sort=False):
        held = ((rows["p_holm"] < 0.05) & (rows["damage"] > 0)).sum()
        counts.append(f"{held} of {len(rows)} with {setting}")
    return "; ".join(counts)
