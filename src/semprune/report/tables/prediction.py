"""What predicts the damage, in words: rank correlations and models out of sample."""

from __future__ import annotations

import pandas as pd

from semprune.report.run.formats import interval, number
from semprune.report.run.metrics import METRICS
from semprune.report.run.schema import records
from semprune.report.tables.study import target_label
from semprune.report.tables.text import TextTable

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
        rows.append([*start, *r2, *added, number(row["ceiling"], 2), str(row["cells"])])
    header = ["metric", "unseen", "known to the model", "R²", "95 % interval", "added", "95 % interval"]
    caption = (
        "Share of the variance of the drops that a ridge regression explains for a method, calibration set, family or "
        "data set that it has not seen (R² out of sample; below 0 it is worse than the mean of the others). Pruning: "
        "sparsity, growth of the perplexity, Wanda mass removed. Added: R² beyond that of the pruning facts. Ceiling: "
        "what a perfect model would reach, the rest is sampling error of the items."
    )
    return TextTable(caption, [*header, "ceiling", "models"], rows, names=3)
