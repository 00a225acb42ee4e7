"""What is kept of concepts of words, from what `benchmarks.protecting_words` measured.

python -m benchmarks.protecting_words_page docs/studies/protect-words/smollm2-135m

Kept is the share of nats above frequency at words that the dense model expects. Intervals are of a bootstrap that
draws windows or sequences, and draws of the calibration.
"""

from __future__ import annotations

from functools import cache, partial
from pathlib import Path

import numpy as np
import pandas as pd
from benchmarks.gates_concepts import WORDS
from benchmarks.gates_concepts_page import column_mean, percent, ratio
from benchmarks.gates_page import Loss, crossed
from benchmarks.protecting_words import KEPT
from benchmarks.tables import markdown, print_pages

from semprune.report.run.formats import number
from semprune.report.run.labels import MethodLabels


class Measured:
    """What a folder holds."""

    def __init__(self, folder: Path) -> None:
        """Read it."""
        self.words, self.text = (pd.read_parquet(folder / f"{name}.parquet") for name in ("words", "text"))
        self.kept = cache(self._kept)

    @property
    def methods(self) -> list[str]:
        """Those that prune."""
        return [name for name in self.text["method"].unique() if name != "dense"]

    def draws(self, method: str, protected: str) -> list[int]:
        """Draws that were measured."""
        own = self.text[(self.text["method"] == method) & (self.text["protected"] == protected)]
        return sorted(own["seed"].unique())

    def _kept(self, method: str, protected: str, words: str, column: str = "own", draws: int | None = None) -> Loss:
        """Share of what the dense model has."""
        table = self.words[self.words["words"] == words]
        pruned, dense = (
            crossed(words, _draws(table, *of, draws), partial(column_mean, column=column), "window")
            for of in ((method, protected), ("dense", ""))
        )
        return ratio(pruned, dense)

    def perplexity(self, method: str, protected: str) -> float:
        """Of Wikipedia, mean over draws."""
        each = [np.exp(own["nll"].mean()) for own in _draws(self.text, method, protected, None)]
        return float(np.mean(each))


def _draws(table: pd.DataFrame, method: str, protected: str, most: int | None) -> list[pd.DataFrame]:
    own = table[(table["method"] == method) & (table["protected"] == protected)]
    return [rows for _, rows in own.groupby("seed")][:most]


def page(folder: Path) -> dict[str, str]:
    """Each table as Markdown."""
    measured = Measured(folder)
    return {"kept": kept(measured), "controls": controls(measured)}


def kept(measured: Measured) -> str:
    """What every pruned model keeps of each concept's words, and of others alike."""
    rows = []
    for method in measured.methods:
        for protected in (name for name in KEPT if measured.draws(method, name)):
            each = [
                percent(measured.kept(method, protected, words, column))
                for words in WORDS
                for column in ("own", "others")
            ]
            draws, perplexity = str(len(measured.draws(method, protected))), measured.perplexity(method, protected)
            rows.append([_pruned(method), protected or "nothing", draws, *each, number(perplexity, 1)])
    header = [title for words in WORDS for title in (f"{words} kept, %", "words alike, %")]
    return markdown(["pruned", "keeping", "draws", *header, "perplexity"], rows)


def controls(measured: Measured) -> str:
    """How much more of each concept its protection keeps than nothing and every control, paired by window and draw."""
    rows = []
    for method in measured.methods:
        for words in WORDS:
            for other in (name for name in KEPT if name != words and measured.draws(method, name)):
                draws = min(len(measured.draws(method, name)) for name in (words, other))
                if draws:
                    more = measured.kept(method, words, words, "own", draws) - measured.kept(
                        method, other, words, "own", draws
                    )
                    rows.append([_pruned(method), words, other or "nothing", percent(more)])
    return markdown(["pruned", "keeping", "keeps more of it than keeping", "points"], rows)


def _pruned(method: str) -> str:
    return f"{MethodLabels().label(method)} 50 %"


if __name__ == "__main__":
    print_pages(__doc__, page)
