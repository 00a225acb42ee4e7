"""How near pruned models stay to the dense one on text, in one sentence; no label is needed for it."""

from __future__ import annotations

from typing import Any

from semprune.artefacts import records
from semprune.report.run.formats import listed
from semprune.report.run.load_run import RunArtefacts
from semprune.report.run.metrics import MEASURES
from semprune.report.summary.finding import Finding
from semprune.report.tables.fidelity import OF_TEXT, fidelity_table

MOST_SETTINGS = 4  # with more than these the nearest and the farthest stand for all


def fidelity_finding(run: RunArtefacts) -> Finding | None:
    """Share of the first text's positions at which another token is likeliest, beside the noise floor."""
    table = fidelity_table(run, OF_TEXT)
    if table is None:
        return None
    same = table[(table["measure"] == "same_top") & (table["method"] != "dense")]
    rows = records(same[same["dataset"] == same["dataset"].iloc[0]].sort_values("value", kind="stable"))
    shown = rows if len(rows) <= MOST_SETTINGS else [rows[0], rows[-1]]
    each = [f"{_other(row)} with {row['setting']}" for row in shown]
    rest = f" (the most and the least of {len(rows)} pruned models)" if len(rows) > len(shown) else ""
    noise = MEASURES["same_top"].number(1 - rows[0]["floor"])
    text = (
        f"another token than the dense model's is likeliest at {listed(each)} of the positions of "
        f"{rows[0]['dataset']}{rest}; the dense model run again differs from itself at {noise}\u00a0%."
    )
    return Finding("The next token:", text, "worse" if any(row["clear"] for row in rows) else "unclear")


def _other(row: dict[str, Any]) -> str:
    """Share of positions with another token, with its interval."""
    measure = MEASURES["same_top"]
    return f"{measure.number(1 - row['value'])}\u00a0% {measure.interval(1 - row['high'], 1 - row['low'])}"
