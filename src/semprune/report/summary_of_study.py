"""What a study's calibration sets say, in plain sentences; a difference is claimed only where its interval is clear."""

from __future__ import annotations

from typing import Any

import pandas as pd

from semprune.report.artefacts import RunArtefacts
from semprune.report.findings import Finding
from semprune.report.formats import interval, listed, number
from semprune.report.labels import family_label
from semprune.report.metrics import METRICS
from semprune.report.schema import records
from semprune.report.study_tables import StudyTables
from semprune.report.study_texts import LEFT_OUT
from semprune.report.tables import headline_metrics

WITH_MEANING = "pruning + semantic loss"
ROUNDING = 1e-9  # models that lose the same differ by this little, and their intervals have no width


def study_findings(run: RunArtefacts) -> list[Finding]:
    """How much the calibration set matters, whether own prompts help, what predicts the drop; empty for other runs."""
    study = run.study
    if study is None:
        return []
    metrics = {name: metric for name, metric in headline_metrics(run).items() if metric in study.drops}
    found = [_importance(study, metrics), _own_prompts(study, metrics), _prediction(study)]
    return [finding for finding in found if finding is not None]


def _headline_rows(table: pd.DataFrame, family: str, metrics: dict[str, str]) -> list[dict[str, Any]]:
    """Rows of the families, each with its headline metric, or the first one that it has."""
    rows = []
    for name, own in table.groupby(family, sort=False):
        wanted = own[own["metric"] == metrics.get(str(name), own["metric"].iloc[0])]
        rows += records(wanted if len(wanted) else own[own["metric"] == own["metric"].iloc[0]])
    return rows


def _measured(row: dict[str, Any], name: str, prefix: str, family: str) -> str:
    metric = METRICS[row["metric"]]
    label = metric.label if metric.label.isupper() else metric.label.lower()
    ends = metric.interval(row[f"{prefix}low"], row[f"{prefix}high"])
    return f"{metric.number(row[name])}\u00a0{ends} points of {label} on {family_label(row[family]).lower()}"


def _importance(study: StudyTables, metrics: dict[str, str]) -> Finding:
    """Worst minus best calibration set per family."""
    rows = _headline_rows(study.spread[study.spread["target"] != "all"], "target", metrics)
    count = rows[0]["calibrations"]
    subject = "Calibration set:"
    if all(pd.isna(row["gap"]) for row in rows):
        text = f"{count} sets were compared with one draw each, which cannot tell a set from the luck of its draw."
        return Finding(subject, text, "unclear")
    clear = [_measured(row, "gap", "gap_", "target") for row in rows if row["gap_low"] > ROUNDING]
    rest = [_measured(row, "gap", "gap_", "target") for row in rows if not row["gap_low"] > ROUNDING]
    parts = [f"the worst of {count} sets loses {listed(clear)} more than the best"] if clear else []
    parts += [f"no clear gap was found between the {count} sets: {listed(rest)}"] if rest else []
    return Finding(subject, "; ".join(parts) + " (chosen by one draw, measured on the others).", _verdict(clear))


def _verdict(clear: list[str]) -> str:
    return "worse" if clear else "unclear"


def _own_prompts(study: StudyTables, metrics: dict[str, str]) -> Finding | None:
    """Gain by a family's own prompts against the mean of the other sets."""
    table = study.own_prompts
    table = table[(table["on"] == "family") & (table["against"] == "mean of others")]
    if table.empty:
        return None
    rows = _headline_rows(table, "family", metrics)
    sides: dict[str, list[dict[str, Any]]] = {"helps by": [], "costs": [], "makes no clear difference:": []}
    for row in rows:
        helps, costs = row["low"] > ROUNDING, row["high"] < -ROUNDING
        side = "helps by" if helps else "costs" if costs else "makes no clear difference:"
        sides[side].append(_cost(row) if costs else row)
    parts = [
        f"{verb} {listed([_measured(row, 'gain', '', 'family') for row in own])}" for verb, own in sides.items() if own
    ]
    verdict = "better" if sides["helps by"] else "worse" if sides["costs"] else "unclear"
    text = "; ".join(parts) + ", against the mean of the other sets."
    return Finding("Calibration on a family's own prompts", text, verdict)


def _cost(row: dict[str, Any]) -> dict[str, Any]:
    return row | {"gain": -row["gain"], "low": -row["high"], "high": -row["low"]}


def _prediction(study: StudyTables) -> Finding | None:
    """What the pruning facts explain out of sample, and what semantic loss adds."""
    table = study.prediction
    if table.empty:
        return None
    metric = METRICS[table["metric"].iloc[0]]
    own = table[table["metric"] == metric.name]
    base = [
        f"{number(row['r2'], 2)}\u00a0{interval(row['low'], row['high'], 2)} for an unseen {LEFT_OUT[row['left_out']]}"
        for row in records(own[own["model"] == "pruning"])
    ]
    told = records(own[own["model"] == WITH_MEANING])
    added = [
        f"{number(row['added'], 2)}\u00a0{interval(row['added_low'], row['added_high'], 2)} for an unseen "
        f"{LEFT_OUT[row['left_out']]}"
        for row in told
    ]
    meaning = f" Semantic loss adds {listed(added)}{_told(told)}." if added else ""
    text = f"what is known of the pruning (sparsity, perplexity, removed mass) explains R² {listed(base)}.{meaning}"
    return Finding(
        f"Predicting the drop in {metric.label.lower()}:",
        text,
        "holds" if any(row["added_low"] > 0 for row in told) else "unclear",
    )


def _told(rows: list[dict[str, Any]]) -> str:
    """Where what semantic loss adds is clear, and in which direction."""
    sides = {
        "clearly more": [f"unseen {LEFT_OUT[row['left_out']]}" for row in rows if row["added_low"] > 0],
        "clearly less": [f"unseen {LEFT_OUT[row['left_out']]}" for row in rows if row["added_high"] < 0],
    }
    parts = [f"{side} for an {listed(names)}" for side, names in sides.items() if names]
    return ": " + ("; ".join(parts) if parts else "nothing clear")
