"""What gates of several concepts cost their own tasks and the others', from what `benchmarks.gates_concepts` measured.

python -m benchmarks.gates_concepts_page docs/studies/gates-concepts/smollm2-135m

A task is lost by how much of the dense model's is gone: of AUROC above one half, or of nats above frequency. Intervals
are of a bootstrap that draws documents, windows or sequences, and seeds.
"""

from __future__ import annotations

from functools import cache, partial
from pathlib import Path

import numpy as np
import pandas as pd
from benchmarks.gates_concepts import CONCEPTS, TESTED, WORDS
from benchmarks.gates_page import Loss, Value, crossed
from benchmarks.tables import markdown, print_pages

from semprune.report.run.formats import interval, number
from semprune.statistics.auroc import binary_auroc
from semprune.statistics.bootstrap import percentile_interval
from semprune.statistics.weighting import Array

LABELS = {
    "gates": "learned gates", "start": "where gates start",
    "score": "association, score", "matched": "matched to gates",
}  # fmt: skip
LEAST = 0.01
"""A share of the others' tasks below which a ratio is taken as if it were this much: it would say nothing (ours)."""


class Measured:
    """What a folder holds."""

    def __init__(self, folder: Path) -> None:
        """Read it."""
        self.tables = {name: pd.read_parquet(folder / f"{name}.parquet") for name in ("items", "words", "text")}
        self.lost = cache(self._lost)

    def seeds(self, selection: str) -> list[int]:
        """Seeds of a selection that were measured."""
        text = self.tables["text"]
        return sorted(text.loc[text["selection"] == selection, "seed"].unique())

    def _of(self, table: str, selection: str, concept: str, **where: str) -> list[pd.DataFrame]:
        """Rows of each seed."""
        own = self.tables[table]
        for column, wanted in {"selection": selection, "concept": concept, **where}.items():
            own = own[own[column] == wanted]
        return [rows for _, rows in own.groupby("seed")]

    def _lost(self, selection: str, concept: str, task: str, wording: str = "fitted") -> Loss:
        """Share of a concept's task that is gone where neurons are held."""
        if task in WORDS:
            return self._share("words", selection, concept, partial(column_mean, column="own"), 0.0, words=task)
        each = [
            self._share("items", selection, concept, _auroc, 0.5, dataset=name, wording=wording)
            for name, asked in TESTED.items()
            if asked == task
        ]
        return mean(each)

    def other_words(self, selection: str, concept: str, task: str) -> Loss:
        """The same of words that are as frequent and as expected as the concept's."""
        return self._share("words", selection, concept, partial(column_mean, column="others"), 0.0, words=task)

    def _share(self, table: str, selection: str, concept: str, value: Value, chance: float, **where: str) -> Loss:
        unit = "document" if table == "items" else "window"
        sample = " ".join(reversed(where.values()))
        dense = crossed(sample, self._of(table, "dense", "", **where), value, unit)
        held = crossed(sample, self._of(table, selection, concept, **where), value, unit)
        return ratio(dense - held, Loss(dense.value - chance, dense.resamples - chance))

    def nats(self, selection: str, concept: str) -> Loss:
        """Log-perplexity gained."""
        dense, held = (
            crossed("text", self._of("text", *of), partial(column_mean, column="nll"), "sequence")
            for of in (("dense", ""), (selection, concept))
        )
        return held - dense


def mean(losses: list[Loss]) -> Loss:
    """The mean of several."""
    return Loss(float(np.mean([each.value for each in losses])), np.mean([each.resamples for each in losses], axis=0))


def ratio(above: Loss, below: Loss) -> Loss:
    """One over the other."""
    return Loss(above.value / below.value, above.resamples / below.resamples)


def column_mean(rows: pd.DataFrame, weights: Array, column: str) -> Array:
    """Weighted mean of a column, for each row of weights."""
    found: Array = weights @ rows[column].to_numpy(float) / weights.sum(-1)
    return found


def _auroc(rows: pd.DataFrame, weights: Array) -> Array:
    return binary_auroc(rows["log_odds"].to_numpy(), rows["label"].to_numpy() == 1, weights)


def page(folder: Path) -> dict[str, str]:
    """Each table as Markdown."""
    measured = Measured(folder)
    return {"own and others": own_and_others(measured), "each": each_on_each(measured)}


def own_and_others(measured: Measured) -> str:
    """What every set costs its own concept's task, and the others'."""
    rows = []
    for concept in CONCEPTS:
        for selection, label in LABELS.items():
            own = measured.lost(selection, concept, concept)
            others = mean([measured.lost(selection, concept, task) for task in CONCEPTS if task != concept])
            otherwise = "" if concept in WORDS else percent(measured.lost(selection, concept, concept, "other"))
            alike = percent(measured.other_words(selection, concept, concept)) if concept in WORDS else ""
            times = own.value / max(others.value, LEAST)
            rows.append([
                concept, label, str(len(measured.seeds(selection))), percent(own), otherwise, alike, percent(others),
                f"{number(times, 1)} ×", str(measured.nats(selection, concept)),
            ])  # fmt: skip
    header = ["concept", "held at its mean", "seeds", "its task lost, %", "in other answers", "of words alike"]
    return markdown([*header, "the other tasks, mean", "own over others", "log-perplexity, nats"], rows)


def each_on_each(measured: Measured) -> str:
    """What each concept's gates cost each task."""
    rows = [[concept, *(percent(measured.lost("gates", concept, task)) for task in CONCEPTS)] for concept in CONCEPTS]
    return markdown(["gates of", *(f"{task} lost, %" for task in CONCEPTS)], rows)


def percent(loss: Loss) -> str:
    """A share in per cent with its 95 % interval."""
    low, high = percentile_interval(loss.resamples)
    return f"{number(100 * loss.value, 0)} {interval(100 * low, 100 * high, 0)}"


if __name__ == "__main__":
    print_pages(__doc__, page)
