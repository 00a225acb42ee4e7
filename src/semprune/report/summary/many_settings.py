"""The summary of a run with many settings: one sentence per family instead of one per setting."""

from __future__ import annotations

import pandas as pd

from semprune.artefacts import records
from semprune.report.run.formats import listed
from semprune.report.run.labels import family_label
from semprune.report.run.load_run import RunArtefacts
from semprune.report.run.metrics import METRICS
from semprune.report.summary.finding import Finding
from semprune.report.tables.headline import headline_table
from semprune.report.tables.semantic_loss import overall_loss

MOST_CONCEPTS = 3


def family_ranges(families: pd.DataFrame) -> list[Finding]:
    """Per family: under how many settings it clearly loses, and the mildest and the harshest setting."""
    found = []
    for family, rows in families.groupby("family", sort=False):
        clear = int((rows["verdict"] == "worse").sum())
        ordered = records(rows.sort_values("damage", kind="stable"))
        metric = METRICS[ordered[0]["metric"]]
        ends = [
            f"{metric.number(row['damage'])}\u00a0{metric.interval(row['damage_low'], row['damage_high'])} with "
            f"{row['setting']}"
            for row in (ordered[0], ordered[-1])
        ]
        label = metric.label if metric.label.isupper() else metric.label.lower()
        text = (
            f"clearly loses under {clear} of {len(rows)} settings; its mean drop in {label} goes from {ends[0]} to "
            f"{ends[1]}."
        )
        found.append(Finding(family_label(str(family)), text, "worse" if clear else "unclear"))
    return found


def perplexity_range(run: RunArtefacts) -> Finding | None:
    """The mildest and the harshest setting by the perplexity of the first text."""
    metric = METRICS["perplexity"]
    table = headline_table(run, metric.name)
    if table.empty:
        return None
    first = table[table["dataset"] == table["dataset"].iloc[0]]
    clear = int((first["verdict"] == "worse").sum())
    ordered = records(first.sort_values("value", kind="stable"))
    ends = [f"{metric.number(row['value'])} with {row['setting']}" for row in (ordered[0], ordered[-1])]
    text = (
        f"clearly rises under {clear} of {len(first)} settings, from {metric.number(ordered[0]['dense'])} to between "
        f"{ends[0]} and {ends[1]}."
    )
    return Finding(f"Perplexity on {ordered[0]['dataset']}", text, "worse" if clear else "unclear")


def meanings_shared(run: RunArtefacts) -> Finding | None:
    """The concepts that lose clearly more than matched neurons of other concepts under most settings."""
    loss = overall_loss(run)
    if loss.empty:
        return None
    count = loss["setting"].nunique()
    clear = loss[loss["xsl_low"] > 0].groupby("label")["setting"].nunique()
    if clear.empty:
        return Finding(
            "Meanings:", "no concept loses clearly more than equally active neurons of other concepts do.", "unclear"
        )
    top = clear.sort_values(ascending=False, kind="stable").head(MOST_CONCEPTS)
    named = [f"{label} (under {settings} of {count} settings)" for label, settings in top.items()]
    text = (
        f"{len(clear)} of {loss['label'].nunique()} concepts lose clearly more than equally active neurons of "
        f"other concepts do under some setting, most often {listed(named)}."
    )
    return Finding("Meanings:", text, "worse")
