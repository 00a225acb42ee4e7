"""A finding: one statement of the summary, with how sure it is; which family suffers most."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pandas as pd

from semprune.artefacts import records
from semprune.report.run.formats import listed
from semprune.report.run.labels import family_label, family_rank
from semprune.report.run.load_run import RunArtefacts
from semprune.report.run.metrics import METRICS, Metric
from semprune.report.tables.contrasts import contrast_table

MOST_NAMED = 3


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
    """Which family loses the largest share of its skill; of older runs, which drops most in points, per metric.

    It is called the most only where it clearly loses more than each other family, and more than the mean of the others
    where only that is clear. Intervals are not corrected for the choice of the largest of several families.
    """
    found, every = [], contrast_table(run)
    if run.retained is not None:  # points of families of unequal skill cannot be compared
        every = every[every["metric"] == "retained"]
    for name, table in every.groupby("metric", sort=False):
        metric = METRICS[str(name)]
        label = metric.label if metric.label.isupper() else metric.label.lower()
        first = table.sort_values("damage", ascending=False, kind="stable").groupby("setting", sort=False).head(1)
        groups = first.groupby(["verdict", "family"], sort=False)
        clauses = [
            _suffers(metric, str(verdict), str(family), rows, len(first))
            for wanted in ("most", "more")
            for (verdict, family), rows in groups
            if verdict == wanted
        ]
        unclear = first[~first["verdict"].isin(["most", "more"])]
        if len(unclear):
            clauses.append(f"{_under(unclear, len(first))} no family is clearly hit harder than the others")
        found.append(
            Finding(
                f"Hit hardest by {label}:",
                f"{'; '.join(clauses)}{_untold(run, table) if name == 'retained' else ''}.",
                "worse" if len(unclear) < len(first) else "unclear",
            )
        )
    return found


def _untold(run: RunArtefacts, table: pd.DataFrame) -> str:
    """Families that are none of those compared, as no share of theirs is known."""
    measured = run.results.loc[run.results["family"] != "language_modelling", "family"]
    left = sorted(set(measured) - set(table["family"]), key=family_rank)
    return f"; {listed([family_label(name).lower() for name in left])} could not be compared" if left else ""


def _suffers(metric: Metric, verdict: str, family: str, rows: pd.DataFrame, settings: int) -> str:
    top = records(rows.sort_values("difference", ascending=False, kind="stable"))[0]
    than = "every other family" if verdict == "most" else "the mean of the others"
    amount = f"{metric.number(top['difference'])} {metric.interval(top['difference_low'], top['difference_high'])}"
    of = "points" if verdict == "more" else "points more than their mean"
    return (
        f"{family_label(family).lower()}, {_under(rows, settings)} more than {than} ({amount} {of}, {top['setting']})"
    )


def _under(rows: pd.DataFrame, settings: int) -> str:
    """Under which settings, by name where they are few."""
    names = rows["setting"].tolist()
    return f"with {listed(names)}" if len(names) <= MOST_NAMED else f"under {len(names)} of {settings} settings"
