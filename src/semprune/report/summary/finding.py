"""A finding: one statement of the summary, with how sure it is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from semprune.report.run.labels import family_label
from semprune.report.run.metrics import METRICS


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
