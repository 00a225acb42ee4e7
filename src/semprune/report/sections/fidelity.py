"""What the fidelity section shows: how near each pruned model stays to the dense one, whoever is right."""

from __future__ import annotations

from typing import Any

from semprune.report.run.load_run import RunArtefacts
from semprune.report.sections.section import Section
from semprune.report.tables.fidelity import OF_ITEMS, OF_TEXT, fidelity_table, fidelity_text
from semprune.report.tables.text_table import TextTable

HEADINGS = {OF_TEXT: ("Next token on held-out text", "fidelity-text"), OF_ITEMS: ("Answers to items", "fidelity-items")}


def fidelity_views(run: RunArtefacts) -> list[tuple[str, str, TextTable]]:
    """Heading, key and table of each kind of measure that the run has."""
    views = []
    for measures, (heading, key) in HEADINGS.items():
        table = fidelity_table(run, measures)
        if table is not None:
            views.append((heading, key, fidelity_text(table, measures)))
    return views


def _view(_: RunArtefacts, shown: RunArtefacts) -> dict[str, Any] | None:
    views = fidelity_views(shown)
    return {"fidelity_views": views} if views else None


SECTION = Section("fidelity", "Fidelity", _view)
