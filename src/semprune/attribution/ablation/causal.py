"""Causal check (equations.md S7): does ablating the neurons of a concept hurt it, and little else?"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial

import numpy as np
import pandas as pd
from jaxtyping import Float, Int
from torch import Tensor

from semprune.attribution.ablation.ablated import AblatedRuns, Progress, ablated_runs
from semprune.attribution.ablation.measurements import CausalRun, measured
from semprune.attribution.ablation.neuron_sets import DRAWN_SETS
from semprune.attribution.association.association import Association
from semprune.attribution.association.score import DEFAULT_COMBINATION, DEFAULT_RANKING
from semprune.attribution.fit.learner import Labeller
from semprune.backbones import Backbone
from semprune.data import dataset_spec
from semprune.errors import SettingError
from semprune.ranges import checked
from semprune.statistics.bootstrap import Statistic
from semprune.statistics.estimate import Estimate, beyond_draws, jackknifed, of_draws
from semprune.types import Count, Item, Seed, Share


@checked
def causal_check(
    lm: Backbone,
    association: Association,
    concepts: Sequence[str],
    items: Sequence[Item],
    text: Int[Tensor, "sequences tokens"],
    *,
    target: str,
    share: Share | Sequence[Share] = 0.01,
    draws: Count = 3,
    seed: Seed = 0,
    token_budget: Count = 4096,
    first: Count = 1,
    rankings: Mapping[str, Float[Tensor, " neurons"]] | None = None,
    labels: Labeller | None = None,
    by: str = DEFAULT_RANKING,
    combine: str = DEFAULT_COMBINATION,
    progress: Progress = lambda _: None,
) -> pd.DataFrame:
    """Mean-ablate the strongest neurons of a target and compare with controls of the same number.

    Args:
        lm: The dense backbone.
        association: Fitted on documents that share none with ``items``.
        concepts: Columns that stand for the target; their strengths add up.
        items: Held-out items of one binary data set; AUROC of the label log-odds is measured.
        text: Held-out sequences for the perplexity.
        target: Name of the target in the table.
        share: Share of all neurons to ablate, or several; the dense model is measured once.
        draws: Random draws of each random control; their mean is the control, and how they differ is part of its
            error: with one draw it has no interval.
        seed: Seed of the draws.
        token_budget: Padded tokens of a scoring batch.
        first: Position of the first token of ``text`` that the perplexity predicts.
        rankings: Further rankings by name (``probe``, ``integrated_gradients``, …), larger is more important: their
            top neurons are ablated too. Fit them on other items than ``items``.
        labels: Words whose log-probability in ``text`` is measured, for targets that have words.
        by: Ranking of the association, see :meth:`Association.ranking`.
        combine: How concepts of words and of documents add up, see :mod:`semprune.attribution.association.score`.
        progress: Told the name of each selection before it runs.

    Returns:
        One row per share, selection and metric (``auroc``, ``perplexity``, ``label_logprob``: log-probability of the
        right choice; with ``labels`` ``concept_logprob``): value, 95 % interval, difference to dense with its interval
        and paired p, and ``excess``: difference to the matched random draws with its paired interval and p,
        equations.md S7's CE with the sign of the metric. Errors are of the jackknife over documents (of an AUROC
        DeLong's) and, where random sets take part, of their draws too, with Student's t; see
        :func:`semprune.statistics.estimate.beyond_draws` for ``excess``.

    Raises:
        TooFewDiscoveriesError: Fewer neurons are discoveries than are to be ablated.
        ConfigurationError: A further ranking names fewer.
        SettingError: A share is outside (0, 1), or a ranking has another number of neurons or a reserved name.
        BackboneMismatchError: The association is another backbone's.
        FittedDocumentError: The association was fitted on documents of the items.
    """
    runs = ablated_runs(
        lm, association, concepts, items, text, share=share, draws=draws, seed=seed, token_budget=token_budget,
        first=first, rankings=rankings, labels=labels, by=by, combine=combine, progress=progress,
    )  # fmt: skip
    return causal_rows(runs, target, items[0].dataset)


def causal_rows(checks: Sequence[AblatedRuns], target: str, dataset: str) -> pd.DataFrame:
    """The rows of :func:`causal_check`, of runs that were made."""
    common = {"target": target, "dataset": dataset}
    rows = [common | {"share": each.share, "k": each.k} | row for each in checks for row in _rows(each.runs)]
    return pd.DataFrame(rows)


def check_dataset(setting: str, name: str) -> None:
    """Refuse a data set whose items have no classes: their AUROC is not defined.

    Raises:
        SettingError: It has none.
        UnknownDatasetError: There is no such data set.
    """
    if not dataset_spec(name).labels.classes:
        raise SettingError(setting, name, "a data set with classes, whose AUROC can be measured")


RANGES = {"auroc": (0.0, 1.0), "perplexity": (1.0, float("inf"))}
"""What a metric can be: an interval of few draws would reach beyond."""


def _rows(runs: dict[str, list[CausalRun]]) -> list[dict[str, object]]:
    dense, rows = runs["dense"], []
    for metric, statistic, units in measured(dense[0]):
        of = partial(compared, statistic, units, runs)
        for name, each in runs.items():
            value, change = of(name), of(name, "dense")
            excess = of(name, "matched_random") if name != "matched_random" else Estimate(0.0, 0.0)
            row: dict[str, object] = {"selection": name, "draws": len(each), "metric": metric}
            row |= {"value": value.value, "n": len(units)} | _ends("", value)
            if metric in RANGES:
                least, most = RANGES[metric]
                row |= {"low": max(least, value.interval[0]), "high": min(most, value.interval[1])}
            row |= {"difference": change.value, "p": _p(change)} | _ends("difference_", change)
            rows.append(row | {"excess": excess.value, "excess_p": _p(excess)} | _ends("excess_", excess))
    return rows


def compared(
    statistic: Callable[[Sequence[CausalRun]], Statistic],
    units: list[str],
    runs: dict[str, list[CausalRun]],
    name: str,
    against: str | None = None,
) -> Estimate:
    """A set's metric, or its difference to another set's: over documents, and over draws where a set is drawn.

    Against drawn sets a chosen one counts as one more draw: that is what it is if nothing is special about it.
    """
    own, other = statistic(runs[name]), None if against is None else statistic(runs[against])
    found = jackknifed(own if other is None else lambda weights: own(weights) - other(weights), units)
    once = np.ones((1, len(units)))
    values = {
        each: [float(statistic([run])(once)[0]) for run in runs[each]] for each in DRAWN_SETS if each in (name, against)
    }
    if against in DRAWN_SETS and name not in (*DRAWN_SETS, "dense"):
        return beyond_draws(found, values[against])
    for each in values.values():
        found = found.wider(*of_draws(each))
    return found


def _p(estimate: Estimate) -> float:
    """Two-sided p; 1 where nothing changed, for any document."""
    return 1.0 if estimate.value == estimate.error == 0 else estimate.p


def _ends(name: str, estimate: Estimate) -> dict[str, float]:
    return dict(zip((f"{name}low", f"{name}high"), estimate.interval, strict=True))
