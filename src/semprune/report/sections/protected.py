"""What the section on protections shows: guided beside unguided prunings, and the curves of chosen strengths."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pandas as pd

from semprune.artefacts import records
from semprune.report.charts.curves import Curve, Curves, placed, ticks_up
from semprune.report.charts.dots import linear_axis
from semprune.report.run.formats import number, percent
from semprune.report.run.load_run import RunArtefacts
from semprune.report.sections.section import Section
from semprune.report.tables.guided import guided_table, guided_text
from semprune.report.tables.text_table import TextTable


@dataclass(frozen=True, slots=True)
class ProtectedView:
    """The section.

    Attributes:
        table: Guided beside unguided.
        curve: What each strength keeps at what price; None where none was chosen.
        strengths: The same as a table.
    """

    table: TextTable
    curve: Curves | None
    strengths: TextTable | None


def protected_view(run: RunArtefacts) -> ProtectedView | None:
    """The section; None for a run that protects nothing."""
    table = guided_table(run)
    if table.empty:
        return None
    if run.strengths is None:
        return ProtectedView(guided_text(table, run.methods), None, None)
    tried = [(str(setting), _priced(own)) for setting, own in run.strengths.groupby("setting", sort=False)]
    return ProtectedView(guided_text(table, run.methods), _curve(run, dict(tried)), _strengths(dict(tried)))


def _priced(own: pd.DataFrame) -> pd.DataFrame:
    """Strengths of one model, the unguided one first, with what they add to its perplexity, in per cent."""
    own = own.sort_values("strength", kind="stable").reset_index(drop=True)
    return own.assign(price=100 * (own["perplexity"] / own["perplexity"][0] - 1))


def _curve(run: RunArtefacts, tried: dict[str, pd.DataFrame]) -> Curves:
    across = linear_axis([price for own in tried.values() for price in own["price"]])
    up = linear_axis([kept for own in tried.values() for kept in [*own["kept"], own["dense_kept"][0]]], ticks=6)
    looks = {setting.label: setting for setting in run.settings}
    curves = [
        Curve(looks[name].unbroken, looks[name].shape, looks[name].hue, placed(across, up, _points(own)))
        for name, own in tried.items()
    ]
    caption = (
        "What is kept of what is named (upwards) against what it adds to the perplexity of general text (to the "
        "right): a mark per strength, the first without any, on text that was held out for the choice."
    )
    label = "score of what is named, nats"
    return Curves("strengths", caption, across, "perplexity added, %", label, ticks_up(up), curves)


def _points(own: pd.DataFrame) -> list[tuple[float, float]]:
    return list(zip(own["price"], own["kept"], strict=True))


def _strengths(tried: dict[str, pd.DataFrame]) -> TextTable:
    rows = []
    for name, own in tried.items():
        for row in records(own):
            price = f"{row['price']:+.1f} %" if row["strength"] else ""
            mark = "chosen" if row["chosen"] else ""
            shown = [number(row["perplexity"]), price, number(row["kept"], 2), number(row["dense_kept"], 2)]
            rows.append([name, f"{row['strength']:g}", *shown, percent(row["budget"], 1), mark])
    header = ["pruned", "strength", "perplexity", "added", "kept", "kept, dense", "budget", ""]
    return TextTable("Strengths that were tried, on text held out for the choice.", header, rows, names=1)


def _view(run: RunArtefacts, _: RunArtefacts) -> dict[str, Any] | None:
    view = protected_view(run)
    return {"protected": view} if view is not None else None


SECTION = Section("protected", "Protected", _view)
