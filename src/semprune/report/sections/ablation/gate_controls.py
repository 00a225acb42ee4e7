"""What the section of the gates' controls shows: both tables, and what they say in words."""

from __future__ import annotations

from typing import Any

from semprune.report.run.load_run import RunArtefacts
from semprune.report.sections.section import Section
from semprune.report.tables.gate_controls import gate_controls_text, gate_overlap_text


def _view(run: RunArtefacts, _: RunArtefacts) -> dict[str, Any] | None:
    if run.gate_controls is None or run.gate_overlap is None:
        return None
    return {"gate_controls": gate_controls_text(run.gate_controls), "gate_overlap": gate_overlap_text(run.gate_overlap)}


SECTION = Section("gate_controls", "Controls of gates", _view, folder="sections/ablation")
