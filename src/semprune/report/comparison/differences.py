"""What the pruned models of two runs differ in: shares of skill, scores and fidelity, the second minus the first."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from semprune.analysis import SkillOf
from semprune.analysis.paired_models import (
    Compared,
    ModelAnswers,
    compare_models,
    flip_difference,
    score_difference,
    skill_difference,
)
from semprune.artefacts import CELL, records, stated_once
from semprune.report.comparison.figures import Row, alone, over_wordings, unpaired
from semprune.report.comparison.pairs import Pair
from semprune.report.comparison.text import text_rows
from semprune.report.run.labels import Setting, family_rank
from semprune.report.run.load_run import RunArtefacts
from semprune.report.tables.skill import skill_table, skills

BY_ITEM = ("auroc", "acc_norm", "accuracy")
"""Metrics that are means over items, the most telling first."""

Models = tuple[ModelAnswers, ModelAnswers] | None


@dataclass(frozen=True)
class Runs:
    """Two runs.

    Attributes:
        first: The one that the other is compared with.
        second: The other.
    """

    first: RunArtefacts
    second: RunArtefacts

    def rows(self, pair: Pair) -> list[Row]:
        """Every figure that both models have."""
        models = self._models(pair)
        return [*self._skill(pair, models), *self._points(pair, models), *self._fidelity(pair, models)]

    def dense_rows(self) -> list[Row]:
        """The same of the dense models, where any of their answers differ."""
        dense = Setting("dense", "", "dense", 0, 0)
        pair = Pair("dense", dense, dense)
        rows = list(self._points(pair, self._models(pair)))
        return rows if any(row.difference[0] != 0 for row in rows) else []

    @property
    def families(self) -> dict[str, str]:
        """Family of each data set that both runs scored, families in their usual order."""
        both = set(self.second.results["dataset"])
        pairs = self.first.results[["family", "dataset"]].drop_duplicates().itertuples(index=False)
        found = sorted(pairs, key=lambda pair: family_rank(str(pair.family)))
        return {str(pair.dataset): str(pair.family) for pair in found if pair.dataset in both}

    def _sides(self, pair: Pair) -> tuple[tuple[RunArtefacts, Setting], tuple[RunArtefacts, Setting]]:
        return (self.first, pair.first), (self.second, pair.second)

    def _models(self, pair: Pair) -> Models:
        """Both models' answers; None where a run has none."""
        one, other = (_model(run, each) for run, each in self._sides(pair))
        return None if one is None or other is None else (one, other)

    @cached_property
    def _skill_tables(self) -> tuple[pd.DataFrame, pd.DataFrame] | None:
        first, second = skill_table(self.first), skill_table(self.second)
        return None if first is None or second is None else (first, second)

    def _skill(self, pair: Pair, models: Models) -> Iterator[Row]:
        if self._skill_tables is None:
            return
        labels = pair.first.label, pair.second.label
        own = [each[each["setting"] == label] for each, label in zip(self._skill_tables, labels, strict=True)]
        one, other = (skills(table) for table in own)
        both = {name: of for name, of in one.items() if name in other and other[name].metric == of.metric}
        for family in dict.fromkeys(of.family for of in both.values()):
            names = [name for name, of in both.items() if of.family == family]
            paired = {name: found for name in names if (found := _compared(models, name, both[name].metric))}
            if len(paired) > 1:
                yield _skill_row(pair, family, "", paired, both)
            for name in names:
                if name in paired:
                    yield _skill_row(pair, family, name, {name: paired[name]}, both)
                else:
                    ends = [over_wordings(table[table["dataset"] == name], "retained") for table in own]
                    yield unpaired(pair.label, "skill", family, name, "retained", ends)

    def _points(self, pair: Pair, models: Models) -> Iterator[Row]:
        for dataset, family in self.families.items():
            if family == "language_modelling":
                continue
            tables = ((run.results, each.label) for run, each in self._sides(pair))
            own = [table[(table["dataset"] == dataset) & (table["setting"] == label)] for table, label in tables]
            metric = _headline(own)
            if metric is None:
                continue
            found = _compared(models, dataset, metric)
            if found is None:
                ends = [over_wordings(table[table["metric"] == metric], "value") for table in own]
                yield unpaired(pair.label, "points", family, dataset, metric, ends)
                continue
            first, second = (alone(float(values.mean())) for values in found.values)
            difference = score_difference(found, metric)
            yield Row(pair.label, "points", family, dataset, metric, len(found.documents), first, second, difference)

    def _fidelity(self, pair: Pair, models: Models) -> Iterator[Row]:
        yield from text_rows(pair, self.first, self.second)
        for dataset, family in self.families.items():
            metrics = set(self.first.results.loc[self.first.results["dataset"] == dataset, "metric"])
            found = _compared(models, dataset, "accuracy") if "accuracy" in metrics else None
            if found is not None:
                first, second, difference = flip_difference(found)
                n = len(found.documents)
                yield Row(pair.label, "fidelity", family, dataset, "flips", n, alone(first), alone(second), difference)


def _compared(models: Models, dataset: str, metric: str) -> Compared | None:
    """Both models' answers to a data set; None where they cannot be paired."""
    if metric not in BY_ITEM or models is None:
        return None
    asked = [{each.name for each in model.answers.datasets} for model in models]
    return compare_models(*models, dataset, metric) if dataset in asked[0] & asked[1] else None


def _model(run: RunArtefacts, setting: Setting) -> ModelAnswers | None:
    """Rows of a model's answers and of its dense model's; None where the run has no answers."""
    if run.predictions is None:
        return None
    rows = run.results[run.results["setting"] == setting.label]
    cell = records(stated_once(rows))[0]
    models = run.predictions.models
    own = models["backbone"] == cell["backbone"]
    dense = np.flatnonzero(own & (models["method"] == "dense"))
    same = own.copy()
    for column in CELL:
        if column not in ("backbone", "calibrated") and not (setting.method == "dense" and column != "method"):
            same &= models[column] == cell[column]
    found = np.flatnonzero(same)
    return ModelAnswers(run.predictions, int(found[0]), int(dense[0])) if len(found) and len(dense) else None


def _skill_row(pair: Pair, family: str, dataset: str, paired: dict[str, Compared], of: dict[str, SkillOf]) -> Row:
    found = skill_difference(list(paired.values()), [of[name].guessing for name in paired])
    n = sum(len(one.documents) for one in paired.values())
    return Row(pair.label, "skill", family, dataset, "retained", n, *found)


def _headline(own: Iterable[pd.DataFrame]) -> str | None:
    """The most telling metric that both runs have of a data set."""
    common = set.intersection(*(set(table["metric"]) for table in own))
    return next((name for name in (*BY_ITEM, *sorted(common)) if name in common), None)
