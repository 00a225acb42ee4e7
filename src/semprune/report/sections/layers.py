"""What the layer section shows: heatmaps of layer × concept, one per view."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from semprune.artefacts import records
from semprune.report.charts.heatmap import Square, colour_step, colour_steps
from semprune.report.run.formats import number, small
from semprune.report.run.load_run import RunArtefacts
from semprune.report.sections.section import Section
from semprune.report.tables.semantic_loss import concept_labels

_PATTERN = "Single layers carry no interval: read the pattern, not one square."


@dataclass(frozen=True, slots=True)
class Heatmap:
    """One view of the layer × concept grid.

    Attributes:
        key: Unique name inside the page.
        label: Name of the view.
        about: What its colours mean, in a sentence.
        measure: What a cell's value is called in the tooltip.
        layers: Layers, left to right.
        rows: Concept and its cells, top to bottom.
        legend: Colour classes from lowest to highest.
        ends: Values at the two ends of the legend.
    """

    key: str
    label: str
    about: str
    measure: str
    layers: list[int]
    rows: list[tuple[str, list[Square]]]
    legend: list[str]
    ends: tuple[str, str]


def heatmaps(run: RunArtefacts) -> list[Heatmap]:
    """The association strength and, per setting, the semantic loss (beyond chance if stored).

    Every view has the same rows, ordered by the layer where the concept is strongest.
    """
    views = []
    order: list[str] = []
    if run.layer_concept is not None and not run.layer_concept.empty:
        strength = run.layer_concept.assign(label=concept_labels(run.layer_concept))
        order = _by_depth(strength, "strength")
        views.append(_strength_view(strength, order))
    if run.semantic_loss is not None:
        loss = run.semantic_loss[(run.semantic_loss["layer"] >= 0) & (run.semantic_loss["method"] != "dense")]
        loss = loss.assign(label=concept_labels(loss))
        order += [label for label in dict.fromkeys(loss["label"]) if label not in order]
        column = "xsl" if loss["xsl"].notna().any() else "sl"
        limit = float(loss[column].abs().max()) * 100
        for position, setting in enumerate(run.settings):
            rows = loss[loss["setting"] == setting.label]
            if not rows.empty:
                view = _excess_view if column == "xsl" else _loss_view
                views.append(view(rows, order, f"layers-loss-{position}", setting.label, limit))
    return views


def _by_depth(frame: pd.DataFrame, value: str) -> list[str]:
    """Concepts by the layer of their largest value, then by name."""
    peaks = frame.sort_values(value, ascending=False, kind="stable").drop_duplicates("label")
    return [str(label) for label in peaks.sort_values(["layer", "label"])["label"]]


def _strength_view(frame: pd.DataFrame, order: list[str]) -> Heatmap:
    limit = float(frame["strength"].max())
    cells = {
        (row["label"], row["layer"]): Square(
            colour_step(row["strength"], limit, diverging=False),
            small(row["strength"]),
            f"{row['discoveries']} neurons",
        )
        for row in records(frame)
    }
    return Heatmap(
        key="layers-strength",
        label="Association strength",
        about="How strongly the layer's neurons respond to the concept in the dense model: the summed association of "
        "the neurons that passed the test.",
        measure="association strength",
        layers=_layers(frame),
        rows=_grid(cells, order, _layers(frame)),
        legend=colour_steps(diverging=False),
        ends=("0", small(limit)),
    )


def _excess_view(frame: pd.DataFrame, order: list[str], key: str, setting: str, limit: float) -> Heatmap:
    cells = {
        (row["label"], row["layer"]): Square(
            colour_step(100 * row["xsl"], limit, diverging=True),
            number(100 * row["xsl"]),
            f"loss {number(100 * row['sl'])}, matched neurons {number(100 * row['sl_random'])}",
        )
        for row in records(frame)
    }
    return Heatmap(
        key=key,
        label=f"Loss: {setting}",
        about=f"Excess semantic loss in each layer under {setting}, in points: how much more of the concept's "
        f"association is lost there than of others in equally active neurons. {_PATTERN}",
        measure="excess semantic loss",
        layers=_layers(frame),
        rows=_grid(cells, order, _layers(frame)),
        legend=colour_steps(diverging=True),
        ends=(number(-limit), number(limit)),
    )


def _loss_view(frame: pd.DataFrame, order: list[str], key: str, setting: str, limit: float) -> Heatmap:
    cells = {
        (row["label"], row["layer"]): Square(
            colour_step(100 * row["sl"], limit, diverging=False), number(100 * row["sl"]), ""
        )
        for row in records(frame)
    }
    return Heatmap(
        key=key,
        label=f"Loss: {setting}",
        about=f"Semantic loss in each layer under {setting}, in points: the share of the concept's association there "
        f"that is gone. It holds no comparison with other neurons; the chart above does. {_PATTERN}",
        measure="semantic loss",
        layers=_layers(frame),
        rows=_grid(cells, order, _layers(frame)),
        legend=colour_steps(diverging=False),
        ends=("0", number(limit)),
    )


def _layers(frame: pd.DataFrame) -> list[int]:
    return sorted(int(layer) for layer in set(frame["layer"]))


def _grid(cells: dict[tuple[str, int], Square], order: list[str], layers: list[int]) -> list[tuple[str, list[Square]]]:
    absent = Square("none", "", "no neurons of this concept here")
    known = {label for label, _ in cells}
    return [(label, [cells.get((label, layer), absent) for layer in layers]) for label in order if label in known]


SECTION = Section("layers", "Layers", lambda _, shown: {"heatmaps": heatmaps(shown)})
