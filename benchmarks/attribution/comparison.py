"""Rankings against each other: causal effect on every held-out set, perplexity, and which one is to be the default."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from benchmarks.attribution.ablation import MATCHED
from benchmarks.attribution.intervals import (
    Array,
    efficiency,
    mean_auroc,
    mean_nll,
    seed_weights,
    summary,
    unit_weights,
)
from benchmarks.attribution.rankings import ASSOCIATION
from benchmarks.attribution.settings import SELECTION, TESTS

Measured = Mapping[str, Any]


class Draws:
    """Drops of AUROC and rises of log-perplexity of every ranking, on the same draws of seeds, items and sequences."""

    def __init__(self, dense: Measured, runs: Mapping[str, Sequence[Measured]]) -> None:
        """Compute them.

        Args:
            dense: The dense model's measurement.
            runs: Measurements by ranking, one for each seed, in the same order of seeds.
        """
        count = len(next(iter(runs.values())))
        self.seeds = seed_weights(count)
        self.runs = {name: own for name, own in runs.items() if len(own) == count}
        self.dense = dense
        sequences = unit_weights([str(k) for k in range(len(dense["nll"]))])
        self.weights = {name: unit_weights(own["documents"], seed=1) for name, own in dense["sets"].items()}
        base = mean_nll(np.array([dense["nll"]] * count), sequences, self.seeds)
        self.rise = {
            name: mean_nll(np.array([run["nll"] for run in own]), sequences, self.seeds) - base
            for name, own in self.runs.items()
        }
        self._drops: dict[tuple[str, str], Array] = {}

    def auroc(self, dataset: str) -> Array:
        """The dense model's AUROC."""
        own = self.dense["sets"][dataset]
        odds = np.array([own["odds"]] * self.seeds.shape[1])
        return mean_auroc(odds, own["labels"], self.weights[dataset], self.seeds)

    def drop(self, name: str, dataset: str) -> Array:
        """Dense less ablated AUROC on one set."""
        if (name, dataset) not in self._drops:
            odds = np.array([run["sets"][dataset]["odds"] for run in self.runs[name]])
            labels = self.dense["sets"][dataset]["labels"]
            ablated = mean_auroc(odds, labels, self.weights[dataset], self.seeds)
            self._drops[name, dataset] = self.auroc(dataset) - ablated
        return self._drops[name, dataset]

    def mean_drop(self, name: str) -> Array:
        """Mean drop over the sets that are reported."""
        return np.mean([self.drop(name, dataset) for dataset in TESTS], axis=0)


def compare_rankings(draws: Draws) -> pd.DataFrame:
    """One row per ranking, the largest effect per unit of perplexity on the reported sets first.

    Columns hold dictionaries of value, interval and p: ``drop_<set>``, ``drop`` (mean over the reported sets), ``rise``
    of log-perplexity, ``efficiency``, ``chosen_by`` (efficiency on the set that the default is chosen on), ``excess``
    (drop beyond that of matched random neurons; None where these were not measured).
    """
    rows = []
    for name in draws.runs:
        if name.endswith(MATCHED):
            continue
        drop, rise = draws.mean_drop(name), draws.rise[name]
        matched = name + MATCHED
        rows.append({
            "ranking": name,
            **{f"drop_{dataset}": summary(draws.drop(name, dataset)) for dataset in (*TESTS, SELECTION)},
            "drop": summary(drop), "rise": summary(rise), "efficiency": summary(efficiency(drop, rise)),
            "chosen_by": summary(efficiency(draws.drop(name, SELECTION), rise)),
            "excess": summary(drop - draws.mean_drop(matched)) if matched in draws.runs else None,
        })  # fmt: skip
    rows.sort(key=lambda row: -row["efficiency"]["value"])
    return pd.DataFrame(rows)


def chosen(table: pd.DataFrame) -> str:
    """The association's ranking with the largest causal effect per unit of perplexity on the set for choosing."""
    own = table[table["ranking"].str.startswith(ASSOCIATION)]
    return str(own.loc[own["chosen_by"].map(lambda found: found["value"]).idxmax(), "ranking"])


def against(draws: Draws, name: str) -> pd.DataFrame:
    """How much more one ranking's neurons cost than every other's, paired: positive is more effect."""
    rows = [
        {"ranking": other, "difference": summary(draws.mean_drop(name) - draws.mean_drop(other))}
        for other in draws.runs
        if other != name
    ]
    return pd.DataFrame(rows, columns=["ranking", "difference"])
