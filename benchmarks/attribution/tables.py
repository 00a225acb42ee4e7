"""Markdown tables of what was measured."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from benchmarks.attribution.settings import SELECTION, TESTS

from semprune.statistics.bootstrap import percentile_interval


def markdown(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table.

    Example:
        >>> print(markdown(["a"], [["1"]]))
        | a |
        |---|
        | 1 |
    """
    lines = [list(header), *map(list, rows)]
    drawn = [f"| {' | '.join(line)} |" for line in lines]
    return "\n".join([drawn[0], "|" + "---|" * len(header), *drawn[1:]])


def with_interval(found: Mapping[str, float] | None, digits: int = 3) -> str:
    """Value and interval.

    Example:
        >>> with_interval({"value": 0.5, "low": 0.25, "high": 0.75}, 2)
        '0.50 [0.25, 0.75]'
    """
    if found is None:
        return ""
    return f"{found['value']:.{digits}f} [{found['low']:.{digits}f}, {found['high']:.{digits}f}]"


def over_seeds(values: Sequence[float], resamples: int = 1000) -> dict[str, float]:
    """Mean over seeds with its 95 % bootstrap interval; NaN are left out.

    Example:
        >>> over_seeds([1.0, 1.0, math.nan])
        {'value': 1.0, 'low': 1.0, 'high': 1.0}
    """
    known = np.array([value for value in values if not math.isnan(value)])
    if not len(known):
        return dict.fromkeys(("value", "low", "high"), math.nan)
    drawn = np.random.default_rng(0).choice(known, (resamples, len(known))).mean(1)
    low, high = percentile_interval(drawn)
    return {"value": float(known.mean()), "low": low, "high": high}


def reading_table(fits: Sequence[Mapping[str, Any]]) -> str:
    """Average precision of every concept, against the control task and against chance."""
    rows = []
    for concept in fits[0]["readings"]["set"]:
        own = [fit["readings"] for fit in fits]
        selectivity = [
            fit["readings"]["set"][concept] - fit["control"]["set"].get(concept, math.nan)
            if concept in fit["words"] else math.nan for fit in fits
        ]  # fmt: skip
        rows.append([
            concept, f"{np.mean([each['prevalence'][concept] for each in own]):.4f}",
            with_interval(over_seeds([each["set"][concept] for each in own])),
            with_interval(over_seeds([each["neuron"][concept] for each in own])),
            with_interval(over_seeds([fit["control"]["set"][concept] for fit in fits])) if concept in fits[0]["words"]
            else "", with_interval(over_seeds(selectivity)) if concept in fits[0]["words"] else "",
        ])  # fmt: skip
    return markdown(["concept", "chance", "AP, gated set", "AP, best neuron", "AP, control", "selectivity"], rows)


def stability_table(found: Mapping[str, tuple[Sequence[float], Sequence[float]]], chance: float) -> str:
    """Overlap of the top 1 % and rank correlation, mean over pairs of seeds with the least and largest."""
    rows = []
    for name, (overlaps, correlations) in found.items():
        cells = [f"{np.nanmean(v):.2f} ({np.nanmin(v):.2f} to {np.nanmax(v):.2f})" for v in (overlaps, correlations)]
        rows.append([name, *cells])
    return markdown(["ranking", f"Jaccard of the top 1 % (chance {chance:.3f})", "Spearman"], rows)


def random_table(fits: Sequence[Mapping[str, Any]], random: Sequence[Mapping[str, Any]]) -> str:
    """Discoveries and average precision, trained against random weights."""
    rows = []
    for name, each in (("trained", fits), ("random", random)):
        shares = [[one["discoveries"][level] for one in each] for level in ("token", "sequence")]
        words = fits[0]["words"]
        precision = [float(np.nanmean([one["readings"]["set"][c] for c in words])) for one in each]
        rows.append([
            name, str(len(each)), *(with_interval(over_seeds(share), 4) for share in shares),
            with_interval(over_seeds(precision)),
        ])  # fmt: skip
    header = ["weights", "seeds", "share of discoveries, words", "share of discoveries, classes", "mean AP of words"]
    return markdown(header, rows)


def sensitivity_table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Every pair of lists, mean over the seeds that were tried."""
    table = pd.DataFrame(rows)
    out = []
    for (concept, other), own in table.groupby(["concept", "other"], sort=False):
        precision = np.array(own["average_precision"].tolist()).mean(0)  # [fitted by, labels of]
        means = own[["overlap", "correlation", "overlap_whole"]].mean()
        out.append([
            str(concept), "other half" if other == concept else str(other),
            *(f"{means[name]:.2f}" for name in means.index), *(f"{value:.3f}" for value in precision.flatten()),
        ])  # fmt: skip
    header = ["list 1", "list 2", "Jaccard 1, 2", "Spearman 1, 2", "Jaccard 1, whole", "AP 1 on 1", "AP 1 on 2"]
    return markdown([*header, "AP 2 on 1", "AP 2 on 2"], out)


def causal_table(table: pd.DataFrame) -> str:
    """Every ranking: drops of AUROC, rise of log-perplexity, effect per unit."""
    columns = [*(f"drop_{name}" for name in (*TESTS, SELECTION)), "drop", "excess", "rise", "efficiency"]
    rows = [[str(row["ranking"]), *(with_interval(row[c]) for c in columns)] for row in table.to_dict("records")]
    header = ["ranking", *TESTS, f"{SELECTION} (for choosing)", "mean of the three", "beyond matched random"]
    return markdown([*header, "Δ log perplexity", "AUROC per nat"], rows)


def against_table(table: pd.DataFrame) -> str:
    """What the chosen ranking's neurons cost beyond each other ranking's."""
    rows = [
        [str(row["ranking"]), with_interval(row["difference"]), f"{row['difference']['p']:.3f}"]
        for row in table.to_dict("records")
    ]
    return markdown(["against", "further drop of AUROC, mean of the three", "p"], rows)
