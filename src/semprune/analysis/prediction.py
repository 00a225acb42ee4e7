"""Does anything predict the damage, and does semantic loss add to what is known anyway: out of sample, or not at all.

A drop is modelled as what there is to lose (the dense score above guessing) times a linear function of predictors,
by ridge regression whose penalty is chosen inside of the fitting cells. What there is to lose is measured on other
documents than the drop: a dense score that was lucky would else predict its own fall. It is judged on cells of a
method, calibration set, family or data set that it has not seen.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import pandas as pd
from jaxtyping import Float, Int

from semprune.analysis.predictors import CALIBRATION, MEANING, PRUNING
from semprune.artefacts import CELL

RESAMPLES = 2000
LEFT_OUT = ("method", "calibration", "family", "dataset")
TABLE = "table"
"""The mean drop of a data set at a sparsity, over what was seen; of an unseen data set, the mean at the sparsity."""
MODELS: dict[str, tuple[str, ...]] = {
    "sparsity": ("sparsity",),
    "pruning": PRUNING,
    "pruning + calibration": PRUNING + CALIBRATION,
    "semantic loss": MEANING,
    "pruning + semantic loss": PRUNING + MEANING,
    "all": PRUNING + CALIBRATION + MEANING,
}
BASE = "pruning"
PENALTIES = np.logspace(-2, 4, 13)
_LEAST_GROUPS, _LEAST_CELLS = 2, 8
_BLOCKS = 8
Vector = Float[np.ndarray, " rows"]


def prediction_table(table: pd.DataFrame, *, seed: int = 0) -> pd.DataFrame:
    r"""Out-of-sample share of the variance of the drops that each model explains, by what was left out.

    .. math:: R^2 = 1 - \frac{\sum_i (d_i - \hat d_i)^2}{\sum_i (d_i - \bar d_{-g(i)})^2}

    with the mean and the model of the cells outside of i's group. Below 0 the model is worse than the mean.

    Args:
        table: Of :func:`semprune.analysis.predictors.predictor_table`.
        seed: Of the resampling.

    Returns:
        Columns left_out, model, r2, low, high (95 %, by resampling pruned models with all their data sets), added (r2
        beyond the model ``pruning``), added_low, added_high, cells, rows. The model ``table`` is the mean drop of the
        same data set and sparsity: who explains less than it has predicted nothing. Empty where there is too little to
        learn from.
    """
    columns = ["left_out", "model", "r2", "low", "high", "added", "added_low", "added_high", "cells", "rows"]
    cells = table.groupby(CELL, sort=False).ngroup().to_numpy()
    rows = []
    for left_out in LEFT_OUT:
        if table[left_out].nunique() < _LEAST_GROUPS or cells.max(initial=-1) + 1 < _LEAST_CELLS:
            continue
        rows += _judged(table, left_out, cells, np.random.default_rng(seed))
    return pd.DataFrame(rows, columns=columns)


def _judged(
    table: pd.DataFrame, left_out: str, cells: Int[np.ndarray, " rows"], rng: np.random.Generator
) -> list[dict[str, object]]:
    drop, groups = table["drop"].to_numpy(), table[left_out].to_numpy()
    baseline = _unseen(groups, lambda seen: np.full(len(drop), drop[seen].mean()))
    total = np.bincount(cells, np.square(drop - baseline))
    drawn = rng.integers(0, len(total), (RESAMPLES, len(total)))
    tabled = _unseen(groups, partial(_tabled, table))
    errors = {TABLE: np.bincount(cells, np.square(drop - tabled))}
    for name, predictors in _known_models(table).items():
        predicted = _unseen(groups, partial(_ridge, _features(table, predictors), drop, groups, cells))
        errors[name] = np.bincount(cells, np.square(drop - predicted))
    base = errors[BASE]
    rows = []
    for name, error in errors.items():
        r2, added = _ratio(error, total, drawn), _ratio(error - base, total, drawn, offset=0.0)
        row: dict[str, object] = {"left_out": left_out, "model": name}
        row |= dict(zip(("r2", "low", "high"), r2, strict=True))
        row |= dict(zip(("added", "added_low", "added_high"), added, strict=True))
        rows.append(row | {"cells": len(total), "rows": len(table)})
    return rows


def _known_models(table: pd.DataFrame) -> dict[str, list[str]]:
    """Models with those of their predictors that the table has; none twice."""
    known = {
        name: [each for each in predictors if each in table and table[each].notna().any()]
        for name, predictors in MODELS.items()
    }
    distinct = {tuple(predictors): name for name, predictors in reversed(known.items()) if predictors}
    distinct[tuple(known[BASE])] = BASE  # what the others are compared with is always there
    return {name: predictors for name, predictors in known.items() if distinct.get(tuple(predictors)) == name}


def _ratio(
    error: Vector, total: Vector, drawn: Int[np.ndarray, "resamples cells"], offset: float = 1.0
) -> tuple[float, float, float]:
    """`offset − Σ error / Σ total`, with its interval over resamples."""
    resampled = offset - error[drawn].sum(1) / total[drawn].sum(1)
    low, high = np.quantile(resampled, [0.025, 0.975])
    return offset - float(error.sum() / total.sum()), float(low), float(high)


def _unseen(groups: np.ndarray, predict: Callable[[np.ndarray], Vector]) -> Vector:
    """Predictions of each group by what is fitted to all others."""
    out = np.empty(len(groups))
    for group in pd.unique(groups):
        seen = groups != group
        out[~seen] = predict(seen)[~seen]
    return out


def _features(table: pd.DataFrame, predictors: Sequence[str]) -> Float[np.ndarray, "rows features"]:
    """Headroom, and its products with standardised predictors; a predictor that a row lacks counts as its mean.

    Predictors end at two standard deviations: a drop ends at guessing, however far the perplexity goes.
    """
    values = table[list(predictors)]
    standard = ((values - values.mean()) / values.std(ddof=0).replace(0, 1)).clip(-2, 2).fillna(0.0).to_numpy()
    headroom = table["headroom"].to_numpy()[:, None]
    return np.hstack([headroom, headroom * standard])


def _tabled(table: pd.DataFrame, seen: np.ndarray) -> Vector:
    keys = ["dataset", "sparsity"]
    known = table[seen].groupby(keys)["drop"].mean().rename("same")
    alike = table[seen].groupby("sparsity")["drop"].mean().rename("alike")
    found = table[keys].join(known, on=keys).join(alike, on="sparsity")
    predicted: Vector = found["same"].fillna(found["alike"]).fillna(table.loc[seen, "drop"].mean()).to_numpy()
    return predicted


def _ridge(
    features: Float[np.ndarray, "rows features"], drop: Vector, groups: np.ndarray, cells: np.ndarray, seen: np.ndarray
) -> Vector:
    """Ridge regression whose penalty is chosen on whole groups of the seen rows, as it is judged on whole groups.

    With one group seen its pruned models take the groups' place.
    """
    spread = features[seen].std(0)
    scaled = (features - features[seen].mean(0)) / np.where(spread > 0, spread, 1)
    inner = groups if len(pd.unique(groups[seen])) > 1 else cells
    errors = np.zeros(len(PENALTIES))
    for group in pd.unique(inner[seen]):
        left, rest = seen & (inner == group), seen & (inner != group)
        errors += np.square(drop[left, None] - _fitted(scaled, drop, rest, PENALTIES)[left]).sum(0)
    predicted: Vector = _fitted(scaled, drop, seen, PENALTIES[[errors.argmin()]])[:, 0]
    return predicted


def _fitted(
    features: Float[np.ndarray, "rows features"], drop: Vector, seen: np.ndarray, penalties: Float[np.ndarray, " k"]
) -> Float[np.ndarray, "rows k"]:
    """Predictions of all rows by ridge regressions of the seen ones, one column per penalty; one decomposition."""
    centre, mean = features[seen].mean(0), drop[seen].mean()
    own = features[seen] - centre
    values, vectors = np.linalg.eigh(own.T @ own)
    along = vectors.T @ (own.T @ (drop[seen] - mean))
    slopes = vectors @ (along[:, None] / (values.clip(0)[:, None] + penalties))
    predicted: Float[np.ndarray, "rows k"] = mean + (features - centre) @ slopes
    return predicted


def spearman_table(table: pd.DataFrame, *, seed: int = 0, resamples: int = 400) -> pd.DataFrame:
    """Rank correlation of each predictor with the drop over pruned models, inside of data sets.

    Args:
        table: Of :func:`semprune.analysis.predictors.predictor_table`.
        seed: Of the resampling.
        resamples: How many times pruned models are drawn anew for the intervals.

    Returns:
        Columns predictor, kind (pruning, calibration, semantic loss), family (and ``all``), spearman (mean over data
        sets), low, high, cells, datasets.
    """
    kinds = {"pruning": PRUNING, "calibration": CALIBRATION, "semantic loss": MEANING}
    rows = []
    for kind, names in kinds.items():
        for name in names:
            if name not in table or table[name].notna().sum() == 0:
                continue
            own = table[table[name].notna()]
            for family in ["all", *dict.fromkeys(own["family"])]:
                part = own if family == "all" else own[own["family"] == family]
                value, low, high, cells = _correlated(part, name, np.random.default_rng(seed), resamples)
                rows.append({"predictor": name, "kind": kind, "family": family, "spearman": value, "low": low,
                             "high": high, "cells": cells, "datasets": part["dataset"].nunique()})  # fmt: skip
    columns = ["predictor", "kind", "family", "spearman", "low", "high", "cells", "datasets"]
    return pd.DataFrame(rows, columns=columns)


def _correlated(
    part: pd.DataFrame, name: str, rng: np.random.Generator, resamples: int
) -> tuple[float, float, float, int]:
    keyed = part.assign(cell=part.groupby(CELL, sort=False).ngroup())
    both = [
        keyed.pivot_table(index="cell", columns="dataset", values=column, aggfunc="mean").to_numpy()
        for column in (name, "drop")
    ]
    count = len(both[0])
    drawn = rng.integers(0, count, (resamples, count))
    blocks = np.array_split(drawn, _BLOCKS)  # many at once, since a call costs much, but not all: they must fit
    resampled = np.concatenate([_mean_spearman(*(_drawn_ranks(values, block) for values in both)) for block in blocks])
    low, high = np.nanquantile(resampled, [0.025, 0.975]) if count > 2 else (float("nan"), float("nan"))
    [value] = _mean_spearman(*(_drawn_ranks(values, np.arange(count)[None]) for values in both))
    return float(value), float(low), float(high), count


def _drawn_ranks(
    values: Float[np.ndarray, "cells datasets"], drawn: Int[np.ndarray, "resamples cells"]
) -> Float[np.ndarray, "resamples cells datasets"]:
    """Ranks of each data set's drawn cells; NaN where one has no value. One sort serves all resamples."""
    alike = bool((values == values[:, :1]).all())  # what is the same for every data set is ranked once
    ranks = np.empty((len(drawn), values.shape[1], drawn.shape[1]))
    for place, column in enumerate(values[:, :1].T if alike else values.T):
        distinct, code = np.unique(column, return_inverse=True)  # NaN comes last
        own = code[drawn]
        cells = own + len(distinct) * np.arange(len(drawn))[:, None]
        counts = np.bincount(cells.ravel(), minlength=len(drawn) * len(distinct)).reshape(len(drawn), len(distinct))
        middle = np.cumsum(counts, axis=1) - (counts - 1) / 2
        middle[(counts[:, -1] > 0) & np.isnan(distinct[-1])] = np.nan
        ranks[:, place] = np.take_along_axis(middle, own, axis=1)
    if alike:
        ranks[:, 1:] = ranks[:, :1]
    return ranks.swapaxes(1, 2)


def _mean_spearman(
    first: Float[np.ndarray, "resamples cells datasets"], second: Float[np.ndarray, "resamples cells datasets"]
) -> Float[np.ndarray, " resamples"]:
    """Mean over data sets of the correlation of ranks; NaN where none varies."""
    centred = [each - each.mean(-2, keepdims=True) for each in (first, second)]
    norms = np.sqrt(np.square(centred[0]).sum(-2) * np.square(centred[1]).sum(-2))
    with np.errstate(invalid="ignore"):
        values = (centred[0] * centred[1]).sum(-2) / norms
    known = np.isfinite(values)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a mean of none is NaN
        mean: Float[np.ndarray, " resamples"] = np.nanmean(np.where(known, values, np.nan), axis=-1)
    return mean
