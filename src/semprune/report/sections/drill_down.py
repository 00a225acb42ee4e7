"""What lies behind a square of a study's heatmaps: answers that changed sides, and the meanings that were lost most."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from semprune.analysis.drops import DatasetDrops, Weights
from semprune.artefacts import CELL, records, stated_once
from semprune.report.run.formats import listed, number, percent
from semprune.report.run.load_run import RunArtefacts
from semprune.report.run.study_tables import StudyTables
from semprune.report.tables.semantic_loss import overall_loss

EXAMPLES = 2
Filter = dict[str, Any]


def chosen(table: pd.DataFrame, wanted: Filter) -> np.ndarray:
    """Which rows have all these values."""
    found: np.ndarray = np.all([table[name] == value for name, value in wanted.items()], axis=0)
    return found


class Behind:
    """What lies behind a square: items that changed sides, and the meanings that were lost most."""

    def __init__(self, run: RunArtefacts, study: StudyTables) -> None:
        """Read a run's items and losses once for all squares."""
        self._drops = study.drops.get("accuracy")
        self._items = {one.name: one.items for one in run.predictions.datasets} if run.predictions is not None else {}
        self._loss = stated_once(overall_loss(run)) if run.semantic_loss is not None else None
        self._kept = kept_shares(run)
        self._chosen: dict[tuple[tuple[str, object], ...], np.ndarray] = {}  # models by what is wanted of them
        self._lost: dict[tuple[object, ...], list[str]] = {}

    def flips(self, dataset: str, wanted: Filter) -> list[str]:
        """How many answers became wrong or right, of those of all draws and sizes, with the most stubborn items."""
        own: list[DatasetDrops] = [one for one in self._drops.datasets if one.name == dataset] if self._drops else []
        if self._drops is None or not own:
            return []
        key = tuple(wanted.items())
        if key not in self._chosen:
            self._chosen[key] = chosen(self._drops.cells, wanted)
        drops: Weights = own[0].drops[self._chosen[key]]
        wrong = (drops > 0).sum(axis=0)
        text = f"{number(wrong.sum(), 0)} of {number(drops.size, 0)} answers became wrong"
        often = np.argsort(-wrong, kind="stable")[:EXAMPLES]
        names = [self._items[dataset][place] for place in often if wrong[place]]
        examples = f" (items {listed(names)})" if names else ""
        return [f"{text}{examples}, {number((drops < 0).sum(), 0)} right"]

    def lost(self, wanted: Filter, calibration: str) -> list[str]:
        """The two concepts with the largest excess semantic loss in these models, each with its hardest-hit neuron."""
        key = (*wanted.values(), calibration)
        if key not in self._lost:
            self._lost[key] = self._hardest(wanted | {"calibration": calibration})
        return self._lost[key]

    def _hardest(self, wanted: Filter) -> list[str]:
        if self._loss is None:
            return []
        means = self._loss[chosen(self._loss, wanted)].groupby(["concept", "label"])["xsl"].mean().nlargest(EXAMPLES)
        kept = self._kept[chosen(self._kept, wanted)].groupby(["concept", "neuron"])["kept"].mean().reset_index()
        rows = records(means.reset_index())
        named = [f"{row['label']} {number(100 * row['xsl'])}{_hit(kept, row['concept'])}" for row in rows]
        return [f"largest excess semantic loss: {listed(named)}"] if named else []


def kept_shares(run: RunArtefacts) -> pd.DataFrame:
    """Share of its activation that each neuron of a concept keeps, per pruned model; empty where not measured."""
    if run.neuron_activations is None:
        return pd.DataFrame(columns=[*CELL, "concept", "neuron", "kept"])
    table = stated_once(run.neuron_activations)
    return table.assign(kept=table["pruned"] / table["dense"].where(table["dense"] != 0))


def _hit(kept: pd.DataFrame, concept: str) -> str:
    own = kept[(kept["concept"] == concept) & kept["kept"].notna()]
    hit = [
        f" (neuron {row['neuron']} keeps {percent(row['kept'])} of its activation)"
        for row in records(own.nsmallest(1, "kept"))
    ]
    return "".join(hit)
