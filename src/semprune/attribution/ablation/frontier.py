"""The causal frontier (equations.md S10): what ablation costs a task against what it costs all other text."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import pandas as pd
from jaxtyping import Float

from semprune.attribution.ablation.ablated import AblatedRuns
from semprune.attribution.ablation.causal import compared
from semprune.attribution.ablation.measurements import (
    GENERAL,
    CausalRun,
    auroc,
    concept_logprob,
    log_perplexity,
    text_divergence,
)
from semprune.attribution.ablation.neuron_sets import DRAWN_SETS, MATCHED
from semprune.errors import ConfigurationError
from semprune.statistics.bootstrap import Statistic, bootstrap, percentile_interval
from semprune.statistics.dose import at_dose
from semprune.statistics.estimate import of_draws
from semprune.statistics.weighting import Array

DOSES = (0.01, 0.03, 0.1)
"""Nats per token at which rankings are compared: nothing, about random neurons' cost, and a model that is worse
(ours)."""
RESAMPLES = 1000


@dataclass(frozen=True, slots=True)
class Measure:
    """Something that ablation costs.

    Attributes:
        name: In tables.
        statistic: Of the runs of a set.
        units: The document of each of its units.
        sign: 1 where more is worse, -1 where less is.
        relative: Whether the dense model's own value has to be taken off.
        sample: What its units are of: measures of one sample are resampled together.
    """

    name: str
    statistic: Callable[[Sequence[CausalRun]], Statistic]
    units: list[str]
    sign: int
    sample: str
    relative: bool = True


def task_measures(dense: CausalRun) -> list[Measure]:
    """What a task can lose: AUROC, and the log-probability of the concept's words where they were measured."""
    sequences = [str(index) for index in range(len(dense.nll))]
    measures = [Measure("auroc_lost", auroc, dense.documents, -1, "items")]
    if dense.words is not None:
        measures.append(Measure("concept_logprob_lost", concept_logprob, sequences, -1, GENERAL))
    return measures


def collateral_measures(dense: CausalRun) -> list[Measure]:
    """What other text can lose: divergence from the dense model, and log-perplexity, on each text.

    Raises:
        ConfigurationError: No divergence was measured.
    """
    if not dense.divergences:
        raise ConfigurationError("a frontier needs the divergence from the dense model: pass `divergence=True`.")
    found = []
    for name, nll in dense.nlls.items():
        units = [str(index) for index in range(len(nll))]
        found += [
            Measure(f"kl_{name}", partial(text_divergence, name), units, 1, name, relative=False),
            Measure(f"log_perplexity_{name}", partial(log_perplexity, name), units, 1, name),
        ]
    return found


def frontier_points(checks: Sequence[AblatedRuns], target: str, dataset: str) -> pd.DataFrame:
    """What each set of neurons costs at each size: the task, and other text.

    Args:
        checks: Of :func:`semprune.attribution.ablation.ablated.ablated_runs`, with divergence.
        target: Name of the target in the table.
        dataset: Data set whose items were scored.

    Returns:
        One row per share, selection and measure: ``auroc_lost``, with words ``concept_logprob_lost``; ``kl_general``,
        ``log_perplexity_general`` and, where there is a text of the domain, the same of it: the value, above 0 where
        something is lost, with its 95 % interval. Intervals of random sets are of their draws too.

    Raises:
        ConfigurationError: No divergence was measured.
    """
    rows: list[dict[str, object]] = []
    for each in checks:
        for measure in _measures(each):
            for name, runs in each.runs.items():
                if name == "dense":
                    continue
                found = compared(
                    measure.statistic, measure.units, each.runs, name, "dense" if measure.relative else None
                )
                ends = sorted(measure.sign * end for end in found.interval)
                rows.append({
                    "target": target, "dataset": dataset, "selection": name, "share": each.share, "k": each.k,
                    "draws": len(runs), "measure": measure.name, "value": measure.sign * found.value,
                    "value_low": ends[0], "value_high": ends[1], "n": len(measure.units),
                })  # fmt: skip
    return pd.DataFrame(rows)


def dose_matched(
    checks: Sequence[AblatedRuns], target: str, dataset: str, *, doses: Sequence[float] = DOSES, seed: int = 0
) -> pd.DataFrame:
    """What the task loses where other text has lost a dose: rankings at equal cost, whatever their size.

    Between sizes, losses are on straight lines from the dense model on. Nothing is extrapolated: where no size reaches
    a dose, the loss there is not known, and ``largest`` says how far the sizes go.

    Args:
        checks: Of :func:`semprune.attribution.ablation.ablated.ablated_runs`, with divergence.
        target: Name of the target in the table.
        dataset: Data set whose items were scored.
        doses: Nats per token.
        seed: Of the bootstrap.

    Returns:
        One row per selection, task ``measure``, ``collateral`` measure and dose: the share of neurons and the loss
        there with its 95 % interval, bootstrapped over documents, sequences and, of random sets, draws; ``excess``: how
        much more is lost than of matched random neurons at the same dose, from the same resamples, with what one more
        draw of these would differ by: a set is special where it is not just another draw. NaN where the dose is not
        reached.

    Raises:
        ConfigurationError: No divergence was measured.
    """
    rows: list[dict[str, object]] = []
    checks = sorted(checks, key=lambda each: each.share)
    dense = checks[0].runs["dense"][0]
    names = [name for name in checks[0].runs if name != "dense"]
    shares = np.array([each.share for each in checks])
    curves = {
        measure.name: {name: _Curve.of(checks, measure, name, seed) for name in names}
        for measure in _measures(checks[0])
    }
    for task in task_measures(dense):
        for collateral in collateral_measures(dense):
            for dose in doses:
                found = {name: curves[task.name][name].at(curves[collateral.name][name], dose) for name in names}
                draw = curves[task.name][MATCHED].at(curves[collateral.name][MATCHED], dose, one_more=True)
                for name in names:
                    against = found[MATCHED] if name in DRAWN_SETS else draw
                    cost = curves[collateral.name][name]
                    rows.append({
                        "target": target, "dataset": dataset, "selection": name, "measure": task.name,
                        "collateral": collateral.name, "dose": dose, "largest": float(cost.value.max()),
                        "share": float(at_dose(cost.value, shares, dose)),
                        **_ends("lost", found[name]),
                        **_ends("excess", [a - b for a, b in zip(found[name], against, strict=True)]),
                    })  # fmt: skip
    return pd.DataFrame(rows)


def _measures(each: AblatedRuns) -> Iterator[Measure]:
    dense = each.runs["dense"][0]
    yield from task_measures(dense)
    yield from collateral_measures(dense)


@dataclass(frozen=True, slots=True)
class _Curve:
    """A measure of one set over all sizes, the mean over its runs: as measured, and as resampled.

    Attributes:
        value: As measured.
        resampled: Over items or sequences.
        noise: How far the mean of other draws of the set might lie; 0 of a set that is not drawn.
        draws: How many they are.
    """

    value: Float[np.ndarray, " sizes"]
    resampled: Float[np.ndarray, "resamples sizes"]
    noise: Float[np.ndarray, "resamples sizes"]
    draws: int

    @classmethod
    def of(cls, checks: Sequence[AblatedRuns], measure: Measure, name: str, seed: int) -> _Curve:
        values, resampled, noise = [], [], []
        sample = int.from_bytes(measure.sample.encode()[:4])  # items and sequences are drawn apart
        for place, each in enumerate(checks):
            own, dense = measure.statistic(each.runs[name]), measure.statistic(each.runs["dense"])
            once = np.ones((1, len(measure.units)))
            lost = _difference(own, dense) if measure.relative else own
            values.append(measure.sign * float(lost(once)[0]))
            resampled.append(measure.sign * bootstrap(lost, measure.units, resamples=RESAMPLES, seed=seed + sample))
            if name in DRAWN_SETS:
                each_draw = [float(measure.statistic([run])(once)[0]) for run in each.runs[name]]
                noise.append(_noise(each_draw, [seed, place, *f"{name} {measure.name}".encode()]))
            else:
                noise.append(np.zeros(RESAMPLES))
        drawn = len(checks[0].runs[name])
        return cls(np.array(values), np.stack(resampled, axis=1), np.stack(noise, axis=1), drawn)

    def drawn(self, *, one_more: bool = False) -> Array:
        """The resamples as far as the mean over draws might lie, or as one more of them would."""
        found: Array = self.resampled + self.noise * (np.sqrt(self.draws + 1) if one_more else 1)
        return found

    def at(self, cost: _Curve, dose: float, *, one_more: bool = False) -> list[Array]:
        """Value at a dose of a cost, and its resamples, as :meth:`drawn` has them."""
        costs, values = (curve.drawn(one_more=one_more) for curve in (cost, self))
        return [at_dose(cost.value, self.value, dose), at_dose(costs, values, dose, extended=True)]


def _difference(own: Statistic, other: Statistic) -> Statistic:
    return lambda weights: own(weights) - other(weights)


def _noise(draws: Sequence[float], seed: Sequence[int]) -> Array:
    """How far the mean of other draws might lie: Student's t of the draws' own spread; NaN of a single draw."""
    count = len(draws)
    if count < 2:
        return np.full(RESAMPLES, np.nan)
    noise: Array = np.random.default_rng(seed).standard_t(count - 1, RESAMPLES) * np.sqrt(of_draws(draws)[0])
    return noise


def _ends(name: str, found: Sequence[Array]) -> dict[str, float]:
    low, high = percentile_interval(found[1])
    missing = bool(np.isnan(found[0]))
    return {
        name: float(found[0]),
        f"{name}_low": np.nan if missing else low,
        f"{name}_high": np.nan if missing else high,
    }
