"""What the page shows of prediction: rank correlations as dots, models out of sample, and one scatter plot."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from semprune.artefacts import SETTING, records
from semprune.report.charts.dots import Axis, Chart, ChartRow, linear_axis, mark, plot_height
from semprune.report.run.formats import interval, number
from semprune.report.run.labels import HUES, SHAPES, family_label
from semprune.report.run.metrics import METRICS
from semprune.report.run.study_tables import StudyTables
from semprune.report.tables.calibration import prediction_text, predictor_label, target_label
from semprune.report.tables.text_table import TextTable

HEIGHT = 300  # of the scatter plot, pixels
KINDS = {"pruning": 0, "calibration": 1, "semantic loss": 2}  # hue of each


@dataclass(frozen=True, slots=True)
class Key:
    """An entry of the scatter plot's legend, drawn as a setting's."""

    unbroken: str
    shape: int
    hue: int


@dataclass(frozen=True, slots=True)
class Point:
    """A pruned model's mean over a family: position in per cent and pixels."""

    x: float
    y: float
    shape: int
    hue: int


@dataclass(frozen=True, slots=True)
class Scatter:
    """Drop against excess semantic loss."""

    caption: str
    across: Axis
    up: list[tuple[float, str, bool]]
    points: list[Point]
    legend: list[Key]
    height: int


@dataclass(frozen=True, slots=True)
class PredictionView:
    """Charts of rank correlations, the tables out of sample, and the scatter plot where own concepts are known.

    Attributes:
        charts: Key and chart, one per target and metric.
        selects: Name of each select of the charts with its values and their names.
        tables: Key, name of the metric and its table.
        scatter: The plot, or None.
    """

    charts: list[tuple[str, str, Chart]]
    selects: list[tuple[str, list[tuple[str, str]]]]
    tables: list[tuple[str, str, TextTable]]
    scatter: Scatter | None

    @property
    def metrics(self) -> list[tuple[str, str]]:
        """Key and name of each table's metric, for the select."""
        return [(key, label) for key, label, _ in self.tables]


def prediction_views(study: StudyTables) -> PredictionView:
    """Everything about prediction, as shown."""
    metrics = list(study.drops)
    targets = ["all", *(name for name in dict.fromkeys(study.predictors["family"]) if name != "all")]
    charts = [
        (f"predictors-{place}-{metric}", f"{target_label(target)}, {METRICS[metric].label}", chart)
        for place, target in enumerate(targets)
        for metric in metrics
        for chart in [_correlations(study.predictors, target, metric, f"predictors-{place}-{metric}-chart")]
    ]
    tables = []
    for metric in metrics if len(study.prediction) else []:
        rows = study.prediction[study.prediction["metric"] == metric]
        if len(rows):
            tables.append((f"prediction-{metric}", METRICS[metric].label, prediction_text(rows).without(1)))
    selects = [
        ("Target", [(f"predictors-{place}", target_label(target)) for place, target in enumerate(targets)]),
        ("Metric", [(metric, METRICS[metric].label) for metric in metrics]),
    ]
    return PredictionView(charts, selects, tables, _scatter(study))


def _correlations(table: pd.DataFrame, target: str, metric: str, key: str) -> Chart:
    own = table[(table["family"] == target) & (table["metric"] == metric)]
    axis = linear_axis([-1.0, 1.0], ticks=4)
    rows = []
    for row in records(own):
        dot = mark(axis, row["spearman"], row["low"], row["high"], shape=0, hue=KINDS[row["kind"]])
        ends = "" if dot is None else f" {interval(row['low'], row['high'], 2)}"
        texts = [f"{number(row['spearman'], 2)}{ends}", str(row["cells"])]
        placed = [] if dot is None else [(plot_height(1) / 2, dot)]
        rows.append(ChartRow(predictor_label(row["predictor"]), row["kind"], placed, texts))
    return Chart(
        key=key,
        caption="Rank correlation of what is known before asking with the drop, over pruned models inside of data sets "
        "(mean over data sets), with 95 % intervals by drawing pruned models anew.",
        row_header="Predictor",
        axis=axis,
        axis_label="Spearman (right of zero: the larger, the larger the drop)",
        columns=["Spearman", "models"],
        rows=rows,
        legend=(),
        height=plot_height(1),
    )


def _scatter(study: StudyTables) -> Scatter | None:
    """Mean over the data sets of a family, a point per pruned model."""
    metric = next(iter(study.models))
    models = study.models[metric]
    if "xsl" not in models or not models["xsl"].notna().any():
        return None
    keys = ["family", *SETTING]
    means = models.dropna(subset=["xsl"]).groupby(keys, sort=False)[["xsl", "drop"]].mean().reset_index()
    across, up = linear_axis(100 * means["xsl"], ticks=5), linear_axis(100 * means["drop"], ticks=5)
    families = list(dict.fromkeys(means["family"]))
    legend = [Key(family_label(name), k % SHAPES, k % HUES) for k, name in enumerate(families)]
    points = [
        Point(across.percent(100 * row["xsl"]), _pixel(up, 100 * row["drop"]), key.shape, key.hue)
        for row in records(means)
        for key in [legend[families.index(row["family"])]]
    ]
    caption = (
        f"Each mark is a pruned model on one family: drop in {METRICS[metric].label.lower()} (upwards, points) against "
        "the excess semantic loss of the data sets' own concepts (to the right, points)."
    )
    ticks = [(_pixel(up, tick), number(tick, 0), tick == 0) for tick in up.ticks]
    return Scatter(caption, across, ticks, points, legend, HEIGHT)


def _pixel(axis: Axis, value: float) -> float:
    return round(HEIGHT * (1 - axis.percent(value) / 100), 1)
