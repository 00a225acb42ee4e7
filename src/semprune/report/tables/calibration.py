"""The tables of a study in words and points: the same cells on the page, in Markdown and in LaTeX."""

from __future__ import annotations

from typing import Any

import pandas as pd

from semprune.analysis.drops import EVERYTHING
from semprune.artefacts import records
from semprune.report.run.formats import interval, number, p_value, percent
from semprune.report.run.labels import family_label
from semprune.report.run.metrics import METRICS
from semprune.report.tables.text_table import TextTable

SHARE_NAMES = ("method", "sparsity", "calibration", "interactions", "draw")


def target_label(target: str) -> str:
    """Name of a family, or of all together."""
    return "All families" if target == EVERYTHING else family_label(target)


def _start(row: dict[str, Any], target: str = "target") -> list[str]:
    return [target_label(row[target]), METRICS[row["metric"]].label]


def _points(row: dict[str, Any], name: str, prefix: str = "") -> list[str]:
    metric = METRICS[row["metric"]]
    return [metric.number(row[name]), metric.interval(row[f"{prefix}low"], row[f"{prefix}high"])]


def ranking_text(table: pd.DataFrame) -> TextTable:
    """Calibration sets by target and metric, best first."""
    rows = []
    for row in records(table):
        behind = _points(row, "behind", "behind_") if row["rank"] > 1 else ["best", ""]
        p = p_value(row["p_holm"]) if row["rank"] > 1 else ""
        rows.append([*_start(row), str(row["rank"]), row["calibration"], *_points(row, "drop"), *behind, p])
    header = ["target", "metric", "rank", "calibration", "mean drop", "95 % interval", "behind the best"]
    caption = (
        "Mean drop in points over the target's data sets and all methods, amounts and draws, with 95 % intervals over "
        "items and draws, and how many points more than the best set (p: Holm-corrected over the sets of one target). "
        "Being the best of several flatters: read the intervals, and the gap below, which is measured on other draws."
    )
    return TextTable(caption, [*header, "95 % interval", "p (Holm)"], rows, names=4)


def spread_text(table: pd.DataFrame) -> TextTable:
    """How much the calibration set matters."""
    rows = []
    for row in records(table):
        metric = METRICS[row["metric"]]
        counts = [str(row["calibrations"]), str(row["seeds"])]
        noise = [metric.number(row["spread"]), metric.number(row["draw"]), p_value(row["p"])]
        rows.append([*_start(row), *counts, *_points(row, "gap", "gap_"), *noise])
    header = ["target", "metric", "sets", "draws", "worst − best", "95 % interval", "sd of sets", "sd of draws"]
    caption = (
        "How much the calibration set matters, in points. Worst minus best: both chosen by one draw of the sequences "
        "on one half of the documents and measured on the other draws and the other half, so that luck does not count "
        "and a gap of zero or less means that none was found; interval and p are of this gap. "
        "sd: standard deviation of the sets' mean drops, and over draws of one set. n/a where one draw "
        "leaves it unknown."
    )
    return TextTable(caption, [*header, "p"], rows, names=2)


def shares_text(table: pd.DataFrame) -> TextTable:
    """Which choice explains how much of the spread."""
    rows = []
    keys = ["target", "metric", "sparsity"]
    for (target, metric, sparsity), group in table.groupby(keys, sort=False, dropna=False):
        shares = dict(zip(group["factor"], group["share"], strict=True))
        start = _start({"target": target, "metric": metric})
        at = "all" if sparsity != sparsity else percent(float(str(sparsity)))
        rows.append([*start, at, *(percent(shares.get(name, float("nan")), 1) for name in SHARE_NAMES)])
    caption = (
        "Share of the variance of the drops that each choice explains, at one sparsity and over all (η² of a balanced "
        "analysis of variance); interactions of the three together; draw: what differs between draws of one "
        "calibration set."
    )
    header = ["target", "metric", "at sparsity", "method", "sparsity", "calibration set", "interactions", "draw"]
    return TextTable(caption, header, rows, names=3)


def own_prompts_text(table: pd.DataFrame) -> TextTable:
    """Whether a family's own prompts help it."""
    rows = [
        [
            *_start(row, "family"),
            "this family" if row["on"] == "family" else "the other families",
            row["against"],
            *_points(row, "gain"),
            p_value(row["p"]),
        ]
        for row in records(table)
    ]
    header = ["prompts of", "metric", "measured on", "against", "gain", "95 % interval", "p"]
    caption = (
        "Calibration on prompts of a family (rows that are never evaluated) instead of on another set: points less "
        "lost (a negative gain: more lost), with 95 % intervals over items and draws. tables/own_prompts.csv has the "
        "comparison with single sets."
    )
    return TextTable(caption, header, rows, names=4)


def sizes_text(table: pd.DataFrame) -> TextTable:
    """Mean drop by calibration size."""
    rows = [
        [*_start(row), str(row["calibration_sequences"]), str(row["calibration_length"]), *_points(row, "drop")]
        for row in records(table)
    ]
    header = ["target", "metric", "sequences", "tokens of each", "mean drop", "95 % interval"]
    caption = (
        "Mean drop in points by the size of the calibration set, over the same methods, amounts, calibration sets and "
        "draws, with 95 % intervals over items."
    )
    return TextTable(caption, header, rows, names=2)


LEFT_OUT = {"method": "method", "calibration": "calibration set", "family": "task family", "dataset": "data set"}
PREDICTORS = {
    "sparsity": "Sparsity",
    "log_perplexity_ratio": "Growth of the perplexity",
    "mass_lost": "Wanda mass removed",
    "minilm_cosine": "MiniLM likeness to the data set",
    "concept_divergence": "Concept divergence from the data set",
    "input_norm_correlation": "Input norms like the data set's",
    "bigram_coverage": "Bigrams of the data set covered",
    "minilm_dispersion": "MiniLM dispersion",
    "vocabulary_coverage": "Vocabulary coverage",
    "distinct_2": "Distinct bigrams",
    "activation_coverage": "Activation coverage",
    "sl": "Semantic loss",
    "xsl": "Excess semantic loss",
    "wsl": "Semantic loss by weights",
}


def predictor_label(name: str) -> str:
    """Name of a predictor for readers; an unknown one keeps its own."""
    return PREDICTORS.get(name, name)


def predictors_text(table: pd.DataFrame) -> TextTable:
    """Rank correlation of each predictor with the drop."""
    rows = [
        [
            target_label(row["family"]),
            METRICS[row["metric"]].label,
            row["kind"],
            predictor_label(row["predictor"]),
            number(row["spearman"], 2),
            interval(row["low"], row["high"], 2),
            str(row["cells"]),
            str(row["datasets"]),
        ]
        for row in records(table)
    ]
    header = ["target", "metric", "kind", "predictor", "Spearman", "95 % interval", "models", "data sets"]
    caption = (
        "Rank correlation of each predictor with the drop over pruned models, inside of data sets, mean over data "
        "sets; intervals by drawing pruned models anew."
    )
    return TextTable(caption, header, rows, names=4)


def prediction_text(table: pd.DataFrame) -> TextTable:
    """Out-of-sample R² of each model."""
    rows = []
    for row in records(table):
        r2 = [number(row["r2"], 2), interval(row["low"], row["high"], 2)]
        added = [number(row["added"], 2), interval(row["added_low"], row["added_high"], 2)]
        added = ["", ""] if row["model"] == "pruning" else added
        start = [METRICS[row["metric"]].label, LEFT_OUT[row["left_out"]], row["model"]]
        rows.append([*start, *r2, *added, str(row["cells"])])
    header = ["metric", "unseen", "known to the model", "R²", "95 % interval", "added", "95 % interval"]
    caption = (
        "Share of the variance of the drops that a ridge regression explains for a method, calibration set, family or "
        "data set that it has not seen (R² out of sample; below 0 it is worse than the mean of the others). Table: "
        "the mean drop of the data set at the sparsity (of an unseen data set, of all at the sparsity). Pruning: "
        "sparsity, growth of the perplexity, Wanda mass removed. Added: R² beyond that of the pruning facts; who "
        "explains less than the table has predicted nothing."
    )
    return TextTable(caption, [*header, "models"], rows, names=3)
