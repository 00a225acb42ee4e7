"""What the score section shows: per metric the family chart and the headline table; perplexities apart."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby
from typing import Any

import pandas as pd

from semprune.artefacts import records
from semprune.report.charts.dots import MOST_COLUMNS, Axis, Chart, ChartRow, Mark, lanes, linear_axis, mark, plot_height
from semprune.report.run.formats import TIMES, number, p_value
from semprune.report.run.labels import Setting, family_label
from semprune.report.run.load_run import RunArtefacts
from semprune.report.run.metrics import METRICS, Metric
from semprune.report.sections.section import Section
from semprune.report.sections.skill import kept_chart
from semprune.report.tables.headline import PARTS, VERDICTS, family_table, headline_table, item_labels, left_out_text
from semprune.report.tables.prompts import prompt_table, prompts_text
from semprune.report.tables.skill import EXPLAINED, WITHOUT, counted_text, skill_table, skill_text
from semprune.report.tables.text_table import TextTable

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
    """One tab: the skill kept or a metric (or each family's own), its chart and its table; a text where that is all."""

    key: str
    label: str
    about: str
    axis: Axis
    families: list[Family]
    chart: Chart | None
    survivors: str
    loss_word: str
    text: TextTable | None = None


def score_panels(run: RunArtefacts) -> list[ScorePanel]:
    """One panel for the families' own metrics, then one per metric; perplexity is not among them."""
    overview = (
        "Each family by the metric that says most about it, one that a shifted preference for an answer word cannot "
        "move where there is one. The other tabs show one metric for every data set that has it."
    )
    points = "Points" if run.retained is not None else "Overview"
    panels = [_panel(run, "overview", points, overview, headline_table(run))]
    for metric in METRICS.values():
        if metric.name != "perplexity" and metric.name in set(run.results["metric"]):
            panels.append(_panel(run, metric.name, metric.label, metric.about, headline_table(run, metric.name)))
    skill = skill_panel(run)
    return [*([] if skill is None else [skill]), *(panel for panel in panels if panel.families)]


def skill_panel(run: RunArtefacts) -> ScorePanel | None:
    """The headline: the share of skill that is kept; None for a run without it."""
    table = skill_table(run)
    if table is None:
        return None
    chart, text = kept_chart(run, table), skill_text(table, counted_text(run))
    return ScorePanel("skill", "Skill kept", EXPLAINED, chart.axis, [], chart, "", "kept", text)


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


def _view(run: RunArtefacts, shown: RunArtefacts) -> dict[str, Any]:
    prompts = prompt_table(shown)
    return {
        "panels": score_panels(shown),
        "perplexity": perplexity_panel(shown),
        "left_out": left_out_text(run),
        "without_skill": WITHOUT if run.retained is None and run.settings else "",
        "prompts": prompts_text(prompts) if len(prompts) else None,  # none where every data set has one wording
    }


SECTION = Section("tasks", "Tasks", _view)
