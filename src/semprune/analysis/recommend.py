"""Which calibration set and method to take for what one cares about, with the evidence."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd

from semprune.analysis.calibration import calibrated_only
from semprune.analysis.drops import Drops
from semprune.artefacts import CELL
from semprune.errors import SettingError
from semprune.statistics.significance import holm

CHOICE = [column for column in CELL if column not in ("seed", "calibrated")]


@dataclass(frozen=True)
class Recommendation:
    """The best choice and everything it was compared with.

    Attributes:
        target: What it is for.
        metric: What the drops are of.
        table: All choices, best first: the columns of :data:`CHOICE`, drop, low, high, behind, behind_low, behind_high,
            p_holm.
        seeds: Draws of calibration sequences that each calibrated choice was measured with.
        datasets: Names of the data sets behind it.
        items: Their items; one that is asked in several wordings is one.
    """

    target: str
    metric: str
    table: pd.DataFrame
    seeds: int
    datasets: list[str]
    items: int

    @property
    def calibrations(self) -> int:
        """Number of calibration sets among the choices."""
        return int(self.table.loc[self.table["calibrated"], "calibration"].nunique())

    @property
    def tied(self) -> pd.DataFrame:
        """The other choices that are not clearly worse than the best: Holm-corrected p of at least 0.05."""
        rest = self.table.iloc[1:]
        return rest[~(rest["p_holm"] < 0.05)]


def recommend(
    drops: Drops, target: str, *, sparsity: float | None = None, pattern: str | None = None, method: str | None = None
) -> Recommendation:
    """Rank every choice of method and calibration at one sparsity by its mean drop on a target.

    Args:
        drops: Of a study.
        target: A family, a data set, or ``all``.
        sparsity: Which; None takes the only one that the study has.
        pattern: Of the mask; None takes the only one.
        method: Only of this method.

    Raises:
        SettingError: The study has no such target, sparsity, pattern or method, or several where none is named.
    """
    datasets = drops.of(target)
    own = drops
    for name, asked in (("method", method), ("pattern", pattern), ("sparsity", sparsity)):
        own = _chosen(own, name, asked)
    variance, freedom = 0.0, math.inf
    calibrated = calibrated_only(own)
    seeds = calibrated.cells["seed"].nunique() if len(calibrated.cells) else 1
    if seeds > 1:
        variance, freedom = _draw_variance(calibrated, target)
        variance /= seeds
    table = own.cells[[*CHOICE, "calibrated"]].drop_duplicates(ignore_index=True)
    weights = [_weights(own, row) for row in table[CHOICE].to_numpy().tolist()]
    table["drop"] = [own.estimate(each, target).value for each in weights]
    order = table["drop"].sort_values(kind="stable").index.tolist()
    best = order[0]
    rows = []
    for place in order:
        drawn = float(table["calibrated"][place]) * variance
        mean = own.estimate(weights[place], target).wider(drawn, freedom)
        gap = own.estimate(weights[place] - weights[best], target)
        of_both = drawn + float(table["calibrated"][best]) * variance
        gap = gap.wider(of_both, freedom) if place != best else gap
        ends = {"low": mean.interval[0], "high": mean.interval[1], "behind": gap.value}
        ends |= {"behind_low": gap.interval[0], "behind_high": gap.interval[1]}
        rows.append(ends | {"p": gap.p if place != best else float("nan")})
    ranked = table.loc[order].reset_index(drop=True).join(pd.DataFrame(rows))
    ranked["p_holm"] = holm(ranked["p"].tolist())
    names, items = [one.name for one in datasets], drops.items(target)
    return Recommendation(target, drops.metric, ranked, seeds, names, items)


def _chosen(drops: Drops, name: str, asked: float | str | None) -> Drops:
    known = list(dict.fromkeys(drops.cells[name]))
    if asked is None:
        if name == "method" or len(known) == 1:
            return drops
        raise SettingError(name, "none given", f"one of the study's: {', '.join(map(str, known))}")
    if asked not in known:
        raise SettingError(name, asked, f"one of the study's: {', '.join(map(str, known))}")
    return drops.only(drops.cells[name] == asked)


def _draw_variance(drops: Drops, target: str) -> tuple[float, float]:
    """Variance over draws of one choice's drop, pooled over choices, and its degrees of freedom."""
    choices = drops.cells[CHOICE].assign(drop=drops.mean_drops(target)).groupby(CHOICE)["drop"]
    return float(np.nanmean(choices.var(ddof=1))), float((choices.size() - 1).sum())


def _weights(drops: Drops, choice: list[object]) -> np.ndarray:
    chosen = (drops.cells[CHOICE] == choice).all(axis=1).to_numpy()
    weights: np.ndarray = chosen / chosen.sum()
    return weights
