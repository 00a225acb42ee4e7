"""The semantic losses in words and points: the tables of the page and its files."""

from __future__ import annotations

import pandas as pd

from semprune.artefacts import records
from semprune.report.run.formats import interval, number, small
from semprune.report.run.load_run import RunArtefacts
from semprune.report.tables.text_table import TextTable

EXCESS = ("xsl", "xsl_low", "xsl_high")
"""Columns of the excess semantic loss with its interval."""


def concept_labels(frame: pd.DataFrame) -> list[str]:
    """Name of each row's concept, with its level where a concept is held at both token and sequence level."""
    levels = frame.groupby("concept")["level"].transform("nunique")
    triples = zip(frame["concept"], frame["level"], levels, strict=True)
    return [f"{concept} ({level})" if count > 1 else str(concept) for concept, level, count in triples]


def guessing(concepts: pd.DataFrame) -> pd.Series:
    """Average precision of guessing each concept: its share of the held-out observations.

    Older runs have its share of the fitted ones only, which is taken instead.

    Args:
        concepts: Rows of ``concepts.parquet``.

    Example:
        >>> guessing(pd.DataFrame({"prevalence": [0.4], "held_out_prevalence": [0.1]})).tolist()
        [0.1]
    """
    return concepts["held_out_prevalence" if "held_out_prevalence" in concepts else "prevalence"]


def overall_loss(run: RunArtefacts) -> pd.DataFrame:
    """Semantic loss over all layers per pruned setting, with a ``label`` per concept; empty without the artefact."""
    if run.semantic_loss is None:
        return pd.DataFrame(columns=["label", "setting", *EXCESS])
    loss = run.semantic_loss
    loss = loss[(loss["layer"] == -1) & (loss["method"] != "dense")]
    return loss.assign(label=concept_labels(loss)).reset_index(drop=True)


NEURONS_NAMED = 3
READOUT_CAPTION = (
    "Readout loss: the drop, in points, of the average precision with which a concept is read from its neurons. Same "
    "reader: the one that was fitted to the dense model. New reader: fitted anew to each model, so what it still loses "
    "is gone from these neurons. Moved is the difference: still there, but coded differently. 95 % intervals over "
    "documents; largest loss first."
)
CAUSAL_CAPTION = (
    "Causal loss: what the change of the activations at a concept's tokens does to the model's next-token loss, to "
    "first order, in nats per token of the concept (above 0: worse). Layers are summed, and a change that a later "
    "layer only carries on counts again there: compare methods, not sizes. Own: through the concept's own neurons "
    "alone. 95 % intervals over documents; largest first."
)


def readout_text(run: RunArtefacts) -> TextTable | None:
    """Readout loss per concept and setting, in points; None where it was not measured."""
    if run.readout_loss is None:
        return None
    table = _largest_first(run.readout_loss[run.readout_loss["loss_frozen"].notna()], "loss_frozen")
    rows = []
    for row in records(table):
        cells = [row["label"], row["setting"], small(row["ap_dense"]), small(row["ap_pruned"])]
        for name in ("loss_frozen", "loss_refit", "moved"):
            low, high = 100 * row[f"{name}_low"], 100 * row[f"{name}_high"]
            cells += [number(100 * row[name]), interval(low, high)]
        rows.append([*cells, number(row["n_documents"], 0)])
    header = ["concept", "method", "AP dense", "AP pruned", "loss, same reader", "95 % interval"]
    header += ["loss, new reader", "95 % interval", "moved", "95 % interval", "documents"]
    return TextTable(READOUT_CAPTION, header, rows, names=2)


def causal_text(run: RunArtefacts) -> TextTable | None:
    """Causal loss per concept and setting, over all layers, in nats; None where it was not measured."""
    if run.causal_loss is None:
        return None
    overall = run.causal_loss[(run.causal_loss["layer"] == -1) & run.causal_loss["change"].notna()]
    named = _strongest(run)
    rows = []
    for row in records(_largest_first(overall, "change")):
        cells = [row["label"], row["setting"]]
        for name, ends in (("change", "change"), ("own_change", "own")):
            cells += [small(row[name]), interval(row[f"{ends}_low"], row[f"{ends}_high"], 3)]
        neurons = named.get((row["concept"], row["setting"]), "")
        rows.append([*cells, number(row["n_tokens"], 0), *([neurons] if named else [])])
    header = ["concept", "method", "change", "95 % interval", "own", "95 % interval", "tokens"]
    return TextTable(CAUSAL_CAPTION, [*header, *(["most through"] if named else [])], rows, names=2)


def _strongest(run: RunArtefacts) -> dict[tuple[str, str], str]:
    """The neurons through which most of the change goes, of each concept and setting."""
    if run.causal_neurons is None:
        return {}
    size = run.causal_neurons["change"].abs()
    ordered = run.causal_neurons.loc[size.sort_values(ascending=False, kind="stable").index]
    return {
        (str(concept), str(setting)): ", ".join(f"{row['neuron']} ({small(row['change'])})" for row in records(group))
        for (concept, setting), group in ordered.groupby(["concept", "setting"], sort=False).head(NEURONS_NAMED)
        .groupby(["concept", "setting"], sort=False)
    }  # fmt: skip


def _largest_first(table: pd.DataFrame, column: str) -> pd.DataFrame:
    """Concepts by the setting that hit them hardest, the settings of each in the run's order."""
    table = table.assign(label=concept_labels(table))
    order = table.groupby("label")[column].max().sort_values(ascending=False, kind="stable").index
    place = {label: rank for rank, label in enumerate(order)}
    return table.sort_values("label", key=lambda labels: labels.map(place), kind="stable")
