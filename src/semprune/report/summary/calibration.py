"""What a study's calibration sets say, in plain sentences; a difference is claimed only where its interval is clear."""

from __future__ import annotations

from typing import Any

from semprune.analysis.drops import EVERYTHING
from semprune.analysis.prediction import TABLE
from semprune.artefacts import records
from semprune.report.run.formats import interval, listed, number
from semprune.report.run.labels import family_label
from semprune.report.run.load_run import RunArtefacts
from semprune.report.run.metrics import METRICS, Metric
from semprune.report.run.study_tables import StudyTables
from semprune.report.summary.finding import Finding
from semprune.report.tables.calibration import LEFT_OUT

WITH_MEANING = "pruning + semantic loss"
ROUNDING = 1e-9  # models that lose the same differ by this little, and their intervals have no width


def one_draw(sets: int) -> str:
    """What one draw of each calibration set cannot say: in the page's summary as in a recommendation."""
    return f"{sets} sets were compared with one draw each, which cannot tell a set from the luck of its draw."


def study_findings(run: RunArtefacts) -> list[Finding]:
    """By accuracy and by AUROC: how much the calibration set matters, whether own prompts help, what predicts the drop.

    Empty for a run that compares no calibration sets.
    """
    study = run.study
    if study is None:
        return []
    parts = (_importance, _own_prompts, _prediction)
    found = [part(study, METRICS[metric]) for part in parts for metric in study.drops]
    return [finding for finding in found if finding is not None]


def _measured(row: dict[str, Any], name: str, prefix: str, family: str) -> str:
    metric = METRICS[row["metric"]]
    ends = metric.interval(row[f"{prefix}low"], row[f"{prefix}high"])
    return f"{metric.number(row[name])}\u00a0{ends} on {family_label(row[family]).lower()}"


def _by(metric: Metric) -> str:
    return f"by {metric.label if metric.label.isupper() else metric.label.lower()}"


def _importance(study: StudyTables, metric: Metric) -> Finding:
    """Worst minus best calibration set per family."""
    table = study.spread[(study.spread["target"] != EVERYTHING) & (study.spread["metric"] == metric.name)]
    rows = records(table)
    count = rows[0]["calibrations"]
    subject = f"Calibration set, {_by(metric)}:"
    if table["gap"].isna().all():
        return Finding(subject, one_draw(count), "unclear")
    clear = [_measured(row, "gap", "gap_", "target") for row in rows if row["gap_low"] > ROUNDING]
    rest = [_measured(row, "gap", "gap_", "target") for row in rows if not row["gap_low"] > ROUNDING]
    parts = [f"the worst of {count} sets loses {listed(clear)} more than the best"] if clear else []
    parts += [f"no clear gap was found between the {count} sets: {listed(rest)}"] if rest else []
    text = (
        "; ".join(parts)
        + ", in points (worst and best chosen by one draw on half of the items, measured on the others)."
    )
    return Finding(subject, text, "worse" if clear else "unclear")


def _own_prompts(study: StudyTables, metric: Metric) -> Finding | None:
    """Gain by a family's own prompts against the mean of the other sets."""
    table = study.own_prompts
    table = table[(table["on"] == "family") & (table["against"] == "mean of others") & (table["metric"] == metric.name)]
    if table.empty:
        return None
    sides: dict[str, list[dict[str, Any]]] = {"helps by": [], "costs": [], "makes no clear difference:": []}
    for row in records(table):
        helps, costs = row["low"] > ROUNDING, row["high"] < -ROUNDING
        side = "helps by" if helps else "costs" if costs else "makes no clear difference:"
        sides[side].append(_cost(row) if costs else row)
    parts = [
        f"{verb} {listed([_measured(row, 'gain', '', 'family') for row in own])}" for verb, own in sides.items() if own
    ]
    verdict = "better" if sides["helps by"] else "worse" if sides["costs"] else "unclear"
    text = "; ".join(parts) + ", in points less lost than with the mean of the other sets."
    return Finding(f"Calibration on a family's own prompts, {_by(metric)},", text, verdict)


def _cost(row: dict[str, Any]) -> dict[str, Any]:
    return row | {"gain": -row["gain"], "low": -row["high"], "high": -row["low"]}


def _prediction(study: StudyTables, metric: Metric) -> Finding | None:
    """What the pruning facts explain out of sample, and what semantic loss adds; the table has data sets, too."""
    own = study.prediction[(study.prediction["metric"] == metric.name) & (study.prediction["left_out"] != "dataset")]
    if own.empty:
        return None
    alone = {row["left_out"]: row["r2"] for row in records(own[own["model"] == TABLE])}
    base = [
        f"{number(row['r2'], 2)}\u00a0{interval(row['low'], row['high'], 2)} for an unseen {LEFT_OUT[row['left_out']]}"
        + (f" (table {number(alone[row['left_out']], 2)})" if row["left_out"] in alone else "")
        for row in records(own[own["model"] == "pruning"])
    ]
    told = records(own[own["model"] == WITH_MEANING])
    more = [row for row in told if row["added_low"] > 0 and row["r2"] > alone.get(row["left_out"], row["r2"] - 1)]
    less = [row for row in told if row["added_high"] < 0]
    text = f"what is known of the pruning (sparsity, perplexity, removed mass) explains R² {listed(base)}, "
    text += "beside a table of the mean drops by data set and sparsity."
    text += f" Semantic loss adds {listed([_added(row) for row in told])}{_told(more, less)}." if told else ""
    return Finding(f"Predicting the drop, {_by(metric)}:", text, "holds" if more else "unclear")


def _added(row: dict[str, Any]) -> str:
    ends = interval(row["added_low"], row["added_high"], 2)
    return f"{number(row['added'], 2)}\u00a0{ends} for an unseen {LEFT_OUT[row['left_out']]}"


def _told(more: list[dict[str, Any]], less: list[dict[str, Any]]) -> str:
    """Where what semantic loss adds is clear (and beats a table of data set and sparsity), and where less."""
    parts = []
    for side, rows in (("clearly more", more), ("clearly less", less)):
        if rows:
            unseen = [f"unseen {LEFT_OUT[row['left_out']]}" for row in rows]
            parts.append(f"{side} for an {listed(unseen)}")
    return ": " + ("; ".join(parts) if parts else "nothing clear")
