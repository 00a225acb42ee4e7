"""What the section of single carriers shows: each neuron alone and with the others, what excites it, what it writes."""

from __future__ import annotations

from typing import Any

from semprune.report.run.load_run import RunArtefacts
from semprune.report.sections.section import Section
from semprune.report.tables.carriers import carriers_text


def _view(run: RunArtefacts, _: RunArtefacts) -> dict[str, Any] | None:
    if run.carriers is None:
        return None
    groups = run.carriers.groupby(["target", "dataset"], sort=False)
    return {"carriers": [carriers_text(own) for _, own in groups]}


SECTION = Section("carriers", "Carriers", _view, folder="sections/ablation")
