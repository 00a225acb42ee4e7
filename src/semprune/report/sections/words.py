"""What the words table shows: a concept's strongest neuron at each of its words, dense and pruned."""

from __future__ import annotations

import math
from dataclasses import dataclass

from semprune.artefacts import records
from semprune.report.run.formats import share_bar, small
from semprune.report.run.labels import Setting
from semprune.report.run.load_run import RunArtefacts

WORDS = 8  # of each concept: the most frequent ones; the artefact holds more


@dataclass(frozen=True, slots=True)
class Left:
    """What one setting leaves of an activation; ``bar`` shows its share of the dense one (``share_bar``)."""

    shown: str
    bar: float | None


@dataclass(frozen=True, slots=True)
class Word:
    """One word: how often it occurs, the neuron's dense activation, and what each setting leaves of it."""

    word: str
    n: int
    dense: str
    pruned: list[Left]


@dataclass(frozen=True, slots=True)
class ConceptWords:
    """The words of one concept at one neuron, ``layers.15.mlp/219``."""

    neuron: str
    settings: list[Setting]
    words: list[Word]


def concept_words(run: RunArtefacts) -> dict[str, ConceptWords]:
    """Words by concept; empty without ``word_activations.parquet``. The neuron is the first the artefact lists."""
    if run.word_activations is None:
        return {}
    found = {}
    for concept, rows in run.word_activations.groupby("concept", sort=False):
        own = rows[rows["neuron"] == rows["neuron"].iloc[0]]
        settings = [setting for setting in run.settings if (own["setting"] == setting.label).any()]
        left = {(row["word"], row["setting"]): row["pruned"] for row in records(own)}
        once = own.drop_duplicates("word").sort_values("n", ascending=False, kind="stable")
        words = [
            Word(
                str(row["word"]),
                int(row["n"]),
                small(row["dense"]),
                [_left(left.get((row["word"], setting.label), math.nan), row["dense"]) for setting in settings],
            )
            for row in records(once)[:WORDS]
        ]
        found[str(concept)] = ConceptWords(str(own["neuron"].iloc[0]), settings, words)
    return found


def _left(pruned: float, dense: float) -> Left:
    share = pruned / dense if dense else math.nan
    return Left(small(pruned), share_bar(share))
