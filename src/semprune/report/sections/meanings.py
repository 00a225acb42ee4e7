"""What the section on meanings shows: the semantic loss of each concept, beyond and beside chance."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pandas as pd

from semprune.artefacts import records
from semprune.report.charts.dots import MOST_COLUMNS, Chart, ChartRow, interval_axis, lanes, plot_height
from semprune.report.run.formats import MISSING, interval, number, small
from semprune.report.run.load_run import RunArtefacts
from semprune.report.sections.section import Section
from semprune.report.tables.semantic_loss import (
    EXCESS,
    causal_text,
    concept_labels,
    guessing,
    overall_loss,
    readout_text,
)

CAPTION = (
    "Excess semantic loss per concept with its 95 % interval over documents, largest first. It is the share of the "
    "concept's association that its neurons lose when the model is pruned, minus what equally active neurons "
    "of the same layers lose of theirs, which stand for other concepts, in points: right of zero, pruning hit this "
    "meaning harder than others; left of zero, it was spared. Intervals much wider than "
    "the others go on beyond the edge."
)


def loss_chart(run: RunArtefacts) -> Chart | None:
    """Excess loss per concept, a lane per setting, sorted by the hardest-hit setting; None without the artefact."""
    loss = overall_loss(run)
    if loss.empty:
        return None
    axis = interval_axis((100 * loss[list(EXCESS)]).itertuples(index=False, name=None))
    wide = len(run.settings) <= MOST_COLUMNS
    rows = []
    for label in _hardest_first(loss):
        found = {row["setting"]: row for row in records(loss[loss["label"] == label])}
        points = {name: tuple(100 * row[part] for part in EXCESS) for name, row in found.items()}
        texts = [_excess_text(found.get(setting.label)) for setting in run.settings] if wide else []
        rows.append(ChartRow(label, "", lanes(axis, run.settings, points), texts))
    return Chart(
        key="semantic-loss",
        caption=CAPTION,
        row_header="Concept",
        axis=axis,
        axis_label="excess semantic loss in points (right of zero: lost more than chance)",
        columns=[setting.label for setting in run.settings] if wide else [],
        rows=rows,
        legend=run.settings,
        height=plot_height(len(run.settings)),
    )


def _hardest_first(loss: pd.DataFrame) -> list[str]:
    """Concepts by the excess loss under the setting that hit them hardest."""
    return [
        str(label) for label in loss.groupby("label")["xsl"].max().sort_values(ascending=False, kind="stable").index
    ]


def _excess_text(row: dict[str, Any] | None) -> str:
    if row is None:
        return ""
    if row["xsl"] != row["xsl"]:  # no neurons: nothing to lose
        return MISSING
    return f"{number(100 * row['xsl'])} {interval(100 * row['xsl_low'], 100 * row['xsl_high'])}"


def loss_details(run: RunArtefacts) -> list[list[str]]:
    """Details in the chart's order: concept, setting, SL, SL of the matched neurons, excess, interval, documents."""
    loss = overall_loss(run)
    order = _hardest_first(loss)
    rows = sorted(records(loss), key=lambda row: order.index(row["label"]))
    return [
        [
            row["label"],
            row["setting"],
            number(100 * row["sl"]),
            number(100 * row["sl_random"]),
            number(100 * row["xsl"]),
            interval(100 * row["xsl_low"], 100 * row["xsl_high"]),
            str(row["n_documents"]),
        ]
        for row in rows
    ]


@dataclass(frozen=True, slots=True)
class ConceptQuality:
    """How well the dense model's neurons tell one concept apart, as text."""

    label: str
    level: str
    guessing: str
    ap_set: str
    ap_neuron: str
    neurons: str
    observations: str


def concept_quality(run: RunArtefacts) -> list[ConceptQuality]:
    """One row per concept, best represented first (over guessing); empty without the artefact."""
    if run.concepts is None:
        return []
    frame = run.concepts.assign(label=concept_labels(run.concepts))
    frame["guessing"] = guessing(frame)
    lift = frame["ap_set"] / frame["guessing"]
    return [
        ConceptQuality(
            label=row["label"],
            level=row["level"],
            guessing=small(row["guessing"]),
            ap_set=small(row["ap_set"]),
            ap_neuron=small(row["ap_neuron"]),
            neurons=number(row["discoveries"], 0),
            observations=f"{number(row['n_positive'], 0)} of {number(row['n'], 0)}",
        )
        for row in records(frame.loc[lift.sort_values(ascending=False, kind="stable").index])
    ]


def _view(run: RunArtefacts, shown: RunArtefacts) -> dict[str, Any]:
    further = {"readout-loss": readout_text(shown), "causal-loss": causal_text(shown)}
    return {
        "loss": loss_chart(shown),
        "loss_rows": loss_details(shown),
        "further": [(key, table) for key, table in further.items() if table],
        "quality": concept_quality(run),
    }


SECTION = Section("meanings", "Meanings", _view)
