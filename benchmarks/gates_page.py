"""The tables of docs/results.md about learned gates, from what `benchmarks.gates_study` measured.

python -m benchmarks.gates_page docs/studies/gates/smollm2-135m

Losses are means over data sets. Intervals are of a bootstrap that draws documents, sequences and seeds.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from benchmarks.gates_study import FITTED_WORDING as FITTED
from benchmarks.gates_study import OF_REGISTRY
from benchmarks.tables import markdown, print_pages

from semprune.report.run.formats import interval, number
from semprune.statistics.auroc import binary_auroc
from semprune.statistics.bootstrap import document_resamples, percentile_interval
from semprune.statistics.dose import at_dose
from semprune.statistics.weighting import Array

RESAMPLES = 1000
DOSES = (0.01, 0.03, 0.08)
"""Nats of held-out log-perplexity at which rankings are compared."""
MAIN = ("gates_several", "gates_one")
"""The gates that other sets are compared with: the first that were measured."""
Value = Callable[[pd.DataFrame, Array], Array]
"""Takes rows and weights of them, and gives one value for each row of weights."""
LABELS = {
    "gates_several": "gates, four wordings", "gates_one": "gates, one wording", "matched": "matched to gates",
    "random": "random neurons", "gates_permuted": "gates of permuted labels", "start": "where gates start",
    "first_order_over_collateral": "first order over collateral", "attribution_patching": "attribution patching",
    "score": "association, score", "t": "association, t",
}  # fmt: skip
LABELS |= {name: name.replace("_", " ") for name in OF_REGISTRY if name not in LABELS}


@dataclass(frozen=True)
class Loss:
    """One value and its resamples; the same documents, sequences and seeds were drawn for every other one."""

    value: float
    resamples: Array

    def __sub__(self, other: Loss) -> Loss:
        """The paired difference."""
        return Loss(self.value - other.value, self.resamples - other.resamples)

    def __str__(self) -> str:
        """The value and its 95 % interval."""
        low, high = percentile_interval(self.resamples)
        return "" if np.isnan(self.value) else f"{number(self.value, 3)} {interval(low, high, 3)}"


def mean(losses: Sequence[Loss]) -> Loss:
    """Their mean, of which the same documents, sequences and seeds were drawn."""
    values, resamples = zip(*((each.value, each.resamples) for each in losses), strict=True)
    return Loss(float(np.mean(values)), np.mean(resamples, axis=0))


class Measured:
    """What a folder holds, resampled once."""

    def __init__(self, folder: Path) -> None:
        """Read it."""
        self.items = pd.read_parquet(folder / "items.parquet")
        self.text = pd.read_parquet(folder / "text.parquet")
        self.settings = [tuple(row) for row in self.items[["selection", "share"]].drop_duplicates().to_numpy()]
        self._once: dict[tuple[str, float, str, str], Loss] = {}

    def seeds(self, selection: str, share: float) -> list[int]:
        """Seeds or draws of a set that were measured."""
        own = self.items[(self.items["selection"] == selection) & (self.items["share"] == share)]
        return sorted(own["seed"].unique())

    def auroc(self, dataset: str, selection: str, share: float, wording: str = FITTED) -> Loss:
        """AUROC of a data set, mean over seeds."""

        def value(own: pd.DataFrame, weights: Array) -> Array:
            return binary_auroc(own["log_odds"].to_numpy(), own["label"].to_numpy() == 1, weights)

        own = self.items[(self.items["dataset"] == dataset) & (self.items["wording"] == wording)]
        return self._crossed(f"{dataset} {wording}", own, selection, share, value, "document")

    def lost(self, selection: str, share: float, wording: str = FITTED) -> Loss:
        """Mean AUROC lost over data sets."""
        each = [
            self.auroc(name, "dense", 0.0, wording) - self.auroc(name, selection, share, wording)
            for name in self.datasets
        ]
        return mean(each)

    def lost_to_chance(self, selection: str, share: float) -> float:
        """The same, an AUROC below one half taken as one half: reversing an order is no further loss of it."""
        once = []
        for dataset in self.datasets:
            dense = self.auroc(dataset, "dense", 0.0).value
            rows = self.items[(self.items["dataset"] == dataset) & (self.items["wording"] == FITTED)]
            own = rows[(rows["selection"] == selection) & (rows["share"] == share)]
            each = [float(binary_auroc(one["log_odds"].to_numpy(), one["label"].to_numpy() == 1))
                    for _, one in own.groupby("seed")]  # fmt: skip
            once.append(dense - np.mean(np.maximum(each, 0.5)))
        return float(np.mean(once))

    def nats(self, selection: str, share: float) -> Loss:
        """Log-perplexity gained, mean over seeds."""
        return self._nll(selection, share) - self._nll("dense", 0.0)

    def _nll(self, selection: str, share: float) -> Loss:
        def value(own: pd.DataFrame, weights: Array) -> Array:
            mean: Array = weights @ own["nll"].to_numpy() / weights.sum(-1)
            return mean

        return self._crossed("text", self.text, selection, share, value, "sequence")

    def at(self, selection: str, dose: float) -> Loss:
        """Mean AUROC lost where log-perplexity reaches a dose."""
        shares = sorted(share for name, share in self.settings if name == selection)
        costs, losses = ([of(selection, share) for share in shares] for of in (self.nats, self.lost))
        value = at_dose(np.array([own.value for own in costs]), np.array([own.value for own in losses]), dose)
        drawn = (np.stack([own.resamples for own in side], -1) for side in (costs, losses))
        return Loss(float(value), at_dose(*drawn, dose, extended=True))

    @property
    def others(self) -> list[str]:
        """Wordings whose answers no gate was fitted on."""
        return [name for name in self.items["wording"].unique() if name != FITTED]

    @property
    def datasets(self) -> list[str]:
        """Data sets that were tested."""
        return list(self.items["dataset"].unique())

    def _crossed(
        self, sample: str, rows: pd.DataFrame, selection: str, share: float,
        value: Value, unit: str,
    ) -> Loss:  # fmt: skip
        key = (sample, share, selection, unit)
        if key not in self._once:
            own = [rows[(rows["selection"] == selection) & (rows["share"] == share) & (rows["seed"] == seed)]
                   for seed in self.seeds(selection, share)]  # fmt: skip
            self._once[key] = crossed(sample, own, value, unit)
        return self._once[key]


def crossed(sample: str, seeds: Sequence[pd.DataFrame], value: Value, unit: str) -> Loss:
    """A value's mean over seeds, and resamples over units and seeds.

    Args:
        sample: Name of the sample: all values of one are resampled alike.
        seeds: Rows of each seed, of the same units in the same order.
        value: Of one seed's rows, for each row of weights.
        unit: The column that names what is resampled.
    """
    units = seeds[0][unit].astype(str).tolist()
    weights = np.concatenate(list(document_resamples(units, RESAMPLES, int.from_bytes(sample.encode()[:6]))))
    once = [float(value(each, np.ones((1, len(units))))[0]) for each in seeds]
    drawn = np.stack([value(each, weights) for each in seeds], -1)  # [resamples, seeds]
    chosen = np.random.default_rng(0).integers(0, len(seeds), size=drawn.shape)
    return Loss(float(np.mean(once)), np.take_along_axis(drawn, chosen, -1).mean(-1))


def page(folder: Path) -> dict[str, str]:
    """Each table as Markdown."""
    measured = Measured(folder)
    shares = sorted({share for _, share in measured.settings if share}, reverse=True)
    asked_otherwise = {"other answers": other_answers(measured)} if measured.others else {}
    dear = any(measured.nats(*each).value >= DOSES[0] for each in measured.settings if each[1])
    gates = {share: own for share, own in pd.read_parquet(folder / "gates.parquet").groupby("share")}
    return {
        **{f"{100 * share:g} %": at_share(measured, share) for share in shares},
        **asked_otherwise,
        **({"dose": doses(measured)} if dear else {}),
        **{f"overlap, {100 * share:g} %": overlap(own) for share, own in gates.items()},
    }


def at_share(measured: Measured, share: float) -> str:
    """Each set at one size."""
    names = measured.datasets
    rows = [["nothing (dense)", "", *(str(measured.auroc(name, "dense", 0.0)) for name in names), "", "", ""]]
    for selection in _selections(measured, share):
        seeds = measured.seeds(selection, share)
        each = [number(measured.auroc(name, selection, share).value, 3) for name in names]
        lost, nats = measured.lost(selection, share), measured.nats(selection, share)
        chance = number(measured.lost_to_chance(selection, share), 3)
        rows.append([LABELS[selection], str(len(seeds)), *each, str(lost), chance, str(nats)])
    return markdown(["held at its mean", "seeds", *names, "lost, mean", "to chance", "log-perplexity, nats"], rows)


def other_answers(measured: Measured) -> str:
    """The same asked with answers that no gate was fitted on; of several wordings their mean too."""
    names, rows = measured.datasets, []
    there = measured.items[measured.items["wording"] != FITTED]
    asked = set(there["selection"]) - {"dense"}
    for selection, share in [("dense", 0.0), *((each, 0.01) for each in LABELS if each in asked)]:
        label, losses = LABELS.get(selection, "nothing (dense)"), []
        for wording in measured.others:
            each = [number(measured.auroc(name, selection, share, wording).value, 3) for name in names]
            losses.append(measured.lost(selection, share, wording))
            rows.append([label, wording, *each, "" if selection == "dense" else str(losses[-1])])
        if selection != "dense" and len(losses) > 1:
            rows.append([label, "mean", *[""] * len(names), str(mean(losses))])
    return markdown(["held at its mean", "asked", *names, "lost, mean"], rows)


def doses(measured: Measured) -> str:
    """What is lost at equal cost, and how much more the gates take."""
    rows, there = [], dict.fromkeys(name for name, share in measured.settings if share)
    main = next(name for name in MAIN if name in there)
    gates = {dose: measured.at(main, dose) for dose in DOSES}
    for selection in there:
        found = {dose: measured.at(selection, dose) for dose in DOSES}
        more = ["" if selection == main else str(gates[dose] - found[dose]) for dose in DOSES]
        rows.append([LABELS[selection], *(str(found[dose]) for dose in DOSES), *more])
    header = [f"at {dose:g} nats" for dose in DOSES]
    return markdown(["", *header, *(f"gates take more, {each}" for each in header)], rows)


def overlap(gates: pd.DataFrame) -> str:
    """Share of neurons that gates of two seeds have in common, mean over pairs and the ends."""
    sets = {key: set(own["neuron"]) for key, own in gates.groupby(["kind", "seed"])}
    rows = []
    for first, second in itertools.combinations_with_replacement(sorted({kind for kind, _ in sets}), 2):
        shared = [
            len(sets[a] & sets[b]) / len(sets[a])
            for a, b in itertools.combinations(sets, 2)
            if sorted((a[0], b[0])) == [first, second] and a[1] != b[1]
        ]
        cells = (
            [f"{100 * value:.0f} %" for value in (np.mean(shared), min(shared), max(shared))] if shared else [""] * 3
        )
        rows.append([f"{LABELS[f'gates_{first}']}; {LABELS[f'gates_{second}']}", *cells])
    return markdown(["gates of two seeds", "neurons in common", "least", "most"], rows)


def _selections(measured: Measured, share: float) -> Iterator[str]:
    there: Mapping[str, None] = dict.fromkeys(name for name, own in measured.settings if own == share)
    return (name for name in LABELS if name in there)


if __name__ == "__main__":
    print_pages(__doc__, page)
