"""A finding: one statement of the summary, with how sure it is; which family suffers most."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pandas as pd

from semprune.artefacts import records
from semprune.report.run.labels import family_label
from semprune.report.run.load_run import RunArtefacts
from semprune.report.run.metrics import METRICS, Metric
from semprune.report.tables.contrasts import contrast_table


@dataclass(frozen=True, slots=True)
class Finding:
    """One statement.

    Attributes:
        subject: What it is about; the sentence's bold beginning.
        text: The rest of the sentence, and what qualifies it.
        verdict: ``worse``, ``better``, ``unclear``, or ``holds`` for a check that the run passed.
    """

    subject: str
    text: str
    verdict: str

    def __str__(self) -> str:
        """The whole sentence."""
        return f"{self.subject} {self.text}"


def damage_points(row: dict[str, Any], sign: int) -> str:
    """A family's mean loss (``sign`` 1) or gain (-1) in words, with its interval."""
    metric = METRICS[row["metric"]]
    low, high = sorted((sign * row["damage_low"], sign * row["damage_high"]))
    label = metric.label if metric.label.isupper() else metric.label.lower()
    return (
        f"{metric.number(sign * row['damage'])} points of {label} on {family_label(row['family']).lower()} "
        f"{metric.interval(low, high)}"
    )


def hardest_hit(run: RunArtefacts) -> list[Finding]:
    """Per metric: which family drops most under each setting, and whether clearly more than the others together.

    Intervals are not corrected for the choice of the largest of several families.
    """
    found = []
    for name, table in contrast_table(run).groupby("metric", sort=False):
        metric = METRICS[str(name)]
        label = metric.label if metric.label.isupper() else metric.label.lower()
        first = table.sort_values("damage", ascending=False, kind="stable").groupby("setting", sort=False).head(1)
        families = first.groupby("family", sort=False)
        text = "; ".join(_suffers(metric, str(family), rows, len(first)) for family, rows in families)
        clear = first["verdict"].isin(["most", "more"]).any()
        found.append(Finding(f"Hit hardest by {label}:", f"{text}.", "worse" if clear else "unclear"))
    return found


def _suffers(metric: Metric, family: str, rows: pd.DataFrame, settings: int) -> str:
    top = records(rows.sort_values("difference", ascending=False, kind="stable"))[0]
    most = int((rows["verdict"] == "most").sum())
    more = int(rows["verdict"].isin(["most", "more"]).sum())
    return (
        f"{family_label(family).lower()} under {len(rows)} of {settings} settings, clearly more than each other family "
        f"under {most} and than their mean under {more} (with "
        f"{top['setting']} {metric.number(top['difference'])} points more than all others' mean "
        f"{metric.interval(top['difference_low'], top['difference_high'])})"
    )
