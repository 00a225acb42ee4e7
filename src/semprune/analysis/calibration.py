"""How much the calibration set matters, for what, and which is best: tables over a study's grid.

All of it is about models that looked at calibration sequences, compared on the same items. Means over methods and
sparsities are over those of the study. Two things are random: the items, whose errors are clustered by document, and
which sequences were drawn, whose variance is measured by the repetitions with other seeds.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from jaxtyping import Float

from semprune.analysis.drops import EVERYTHING, Drops, Weights
from semprune.statistics.estimate import Estimate
from semprune.statistics.significance import holm

FACTORS = ("method", "sparsity", "calibration")
SIMULATED = 4000
TIED = 1e-12


def calibrated_only(drops: Drops) -> Drops:
    """The models that looked at calibration sequences."""
    return drops.only(drops.cells["calibrated"])


def calibrations(drops: Drops) -> list[str]:
    """Calibration sets, in the study's order."""
    return list(dict.fromkeys(drops.cells["calibration"]))


def even_weights(drops: Drops, calibration: str, seed: int | None = None) -> Weights:
    """Weights whose sum is the mean over a calibration set's models, of all seeds or of one."""
    chosen = (drops.cells["calibration"] == calibration).to_numpy()
    if seed is not None:
        chosen = chosen & (drops.cells["seed"] == seed).to_numpy()
    weights: Weights = chosen / chosen.sum()
    return weights


def draw_variance(drops: Drops, target: str) -> float:
    """Variance of a calibration set's mean drop over draws of its sequences, pooled over sets; NaN with one seed.

    It holds some of the items' noise too, so that intervals made with it are rather too wide than too narrow.
    """
    means = _by_draw(drops, target)
    within = means.var(axis=1, ddof=1) if means.shape[1] > 1 else np.array([np.nan])
    return float(within.mean())


def draw_freedom(drops: Drops) -> int:
    """Degrees of freedom of :func:`draw_variance`; at least 1."""
    draws = drops.cells[["calibration", "seed"]].drop_duplicates()
    return max(1, len(draws) - draws["calibration"].nunique())


def _by_draw(drops: Drops, target: str) -> Float[np.ndarray, "calibrations seeds"]:
    mean = drops.cells[["calibration", "seed"]].assign(drop=drops.mean_drops(target))
    table = mean.groupby(["calibration", "seed"])["drop"].mean().unstack()
    return table.loc[calibrations(drops)].to_numpy()


def calibration_ranking(drops: Drops, target: str) -> pd.DataFrame:
    """Calibration sets by their mean drop on a target, best first, each compared with the best.

    Args:
        drops: Of a study.
        target: A family, a data set, or ``all``.

    Returns:
        Columns target, metric, rank, calibration, drop, low, high, behind (the best), behind_low, behind_high, p,
        p_holm, seeds, datasets, items. The best one's ``behind`` is 0 and has no p. Being the best of several flatters:
        read the intervals, and the gap on other draws in :func:`calibration_spread`.
    """
    own = calibrated_only(drops)
    names = calibrations(own)
    seeds = own.cells["seed"].nunique()
    variance, freedom = np.nan_to_num(draw_variance(own, target)) / seeds, draw_freedom(own)
    weights = {name: even_weights(own, name) for name in names}
    means = {name: own.estimate(weights[name], target).wider(variance, freedom) for name in names}
    names.sort(key=lambda name: means[name].value)
    gaps = [own.estimate(weights[name] - weights[names[0]], target) for name in names]
    behind = [gap.wider(2 * variance, freedom) for gap in gaps]
    corrected = holm([float("nan"), *(each.p for each in behind[1:])])
    datasets = own.of(target)
    rows = []
    for rank, (name, gap) in enumerate(zip(names, behind, strict=True)):
        row = {"target": target, "metric": drops.metric, "rank": rank + 1, "calibration": name}
        row |= _numbers("drop", "", means[name]) | _numbers("behind", "behind_", gap if rank else Estimate(0.0, 0.0))
        row |= {"p": gap.p if rank else float("nan"), "p_holm": corrected[rank], "seeds": seeds}
        rows.append(row | {"datasets": len(datasets), "items": own.items(target)})
    return pd.DataFrame(rows)


def _numbers(name: str, prefix: str, estimate: Estimate) -> dict[str, float]:
    low, high = estimate.interval
    return {name: estimate.value, f"{prefix}low": low, f"{prefix}high": high}


def calibration_spread(drops: Drops) -> pd.DataFrame:
    """How much the calibration set matters, for each family and for all.

    Returns:
        Columns target, metric, calibrations, seeds, spread (standard deviation of the sets' mean drops), draw (standard
        deviation over draws of one set), gap (worst minus best, chosen by one draw on one half of the documents and
        measured on the other draws and the other half, so that luck does not count; ties share), gap_low, gap_high and
        p, all of the same gap. NaN where a single seed leaves it unknown.
    """
    own = calibrated_only(drops)
    targets = [*own.families, EVERYTHING]
    rows = []
    for target in targets:
        means = _by_draw(own, target)
        one = {"target": target, "metric": drops.metric, "calibrations": means.shape[0], "seeds": means.shape[1]}
        one |= {"spread": means.mean(1).std(ddof=1) if len(means) > 1 else float("nan")}
        one |= {"draw": float(np.sqrt(draw_variance(own, target)))}
        repeated = len(means) > 1 and means.shape[1] > 1
        gap, margin, p = crossed_gap(own, target) if repeated else (float("nan"),) * 3
        rows.append(one | {"gap": gap, "gap_low": gap - margin, "gap_high": gap + margin, "p": p})
    return pd.DataFrame(rows)


def crossed_gap(drops: Drops, target: str, *, seed: int = 0) -> tuple[float, float, float]:
    """Worst minus best calibration set: chosen on one draw and half of the documents, measured on the others.

    Both halves and all draws choose in turn, so that the measurements are not independent of each other. Their mean is
    compared with what it is where no set is better: simulated from the documents' own deviations and the draws'.

    Returns:
        The mean, half the width of its 95 % interval and its two-sided p.
    """
    names, seeds = calibrations(drops), sorted(drops.cells["seed"].unique())
    weights = np.stack([[even_weights(drops, name, each) for name in names] for each in seeds])
    rng = np.random.default_rng(seed)
    means, luck = np.zeros((2, *weights.shape[:2])), np.zeros((SIMULATED, 2, *weights.shape[:2]))
    datasets, noise = drops.of(target), 0.0
    for one in datasets:
        each = weights @ one.drops  # [seeds, calibrations, items]
        for half in (0, 1):
            own = one.document % 2 == half
            part = each[..., own]
            if not part.shape[-1]:
                return (float("nan"),) * 3
            mean = part.mean(-1)
            _, document = np.unique(one.document[own], return_inverse=True)
            member = document[:, None] == np.arange(document.max() + 1)
            sums = (part - mean[..., None]) @ member / part.shape[-1]  # [seeds, calibrations, documents]
            means[half] += mean / len(datasets)
            sums *= np.sqrt(sums.shape[-1] / max(1, sums.shape[-1] - 1)) / len(datasets)
            luck[:, half] += np.einsum("rd,scd->rsc", rng.standard_normal((SIMULATED, sums.shape[-1])), sums)
            noise += float(np.square(sums - sums.mean(0)).sum() / (len(seeds) - 1) / len(names)) / 4
    freedom = draw_freedom(drops)
    drawn = max(0.0, draw_variance(drops, target) - noise)
    spread = np.sqrt(drawn * freedom / rng.chisquare(freedom, SIMULATED))[:, None, None, None]
    luck += spread * rng.standard_normal((SIMULATED, 1, *weights.shape[:2]))
    gap, null = float(_gap(means)), np.abs(_gap(luck))
    p = (1 + int((null >= abs(gap) - TIED).sum())) / (1 + SIMULATED)
    return gap, float(np.quantile(null, 0.95)), p


def _gap(means: Float[np.ndarray, "*simulated two seeds calibrations"]) -> Float[np.ndarray, "*simulated"]:
    """Mean of what is measured on the other half and the other seeds, over the choices of every half and seed."""
    others = means.sum(-2, keepdims=True) - means
    measured = others[..., ::-1, :, :] / (means.shape[-2] - 1)
    worst = means >= means.max(-1, keepdims=True) - TIED
    best = means <= means.min(-1, keepdims=True) + TIED
    sides = [(measured * chosen).sum(-1) / chosen.sum(-1) for chosen in (worst, best)]
    gap: Float[np.ndarray, "*simulated"] = (sides[0] - sides[1]).mean((-1, -2))
    return gap


def variance_shares(drops: Drops) -> pd.DataFrame:
    r"""Which choice explains how much of the spread of the drops over the grid, for each family and for all.

    .. math:: \eta^2_f = \frac{\sum_l n_l (\bar d_l - \bar d)^2}{\sum_i (d_i - \bar d)^2}

    Source: analysis of variance of a balanced grid: method, sparsity and calibration set, the interactions together,
    and what differs between draws of one set.

    Returns:
        Columns target, metric, sparsity, factor (method, sparsity, calibration, interactions, draw), share: first at
        each sparsity, then (sparsity NaN) over the whole grid, whose spread is mostly that of the sparsities that
        somebody chose. Shares of a target and sparsity sum to 1; NaN where every model drops the same.
    """
    own = calibrated_only(drops)
    rows = []
    for target in [*own.families, EVERYTHING]:
        table = own.cells[list(FACTORS)].assign(drop=own.mean_drops(target))
        parts = [(float(str(sparsity)), part) for sparsity, part in table.groupby("sparsity")]
        if len(parts) > 1:
            parts.append((float("nan"), table))
        for sparsity, part in parts:
            common = {"target": target, "metric": drops.metric, "sparsity": sparsity}
            rows += [common | {"factor": factor, "share": share} for factor, share in _shares(part).items()]
    return pd.DataFrame(rows)


def _shares(table: pd.DataFrame) -> dict[str, float]:
    whole = float(((table["drop"] - table["drop"].mean()) ** 2).sum()) or float("nan")
    shares = {factor: _between(table, [factor]) / whole for factor in FACTORS}
    cells = _between(table, list(FACTORS)) / whole
    return shares | {"interactions": cells - sum(shares.values()), "draw": 1 - cells}


def _between(table: pd.DataFrame, factors: list[str]) -> float:
    means = table.groupby(factors)["drop"].transform("mean")
    return float(((means - table["drop"].mean()) ** 2).sum())


def task_likeness_effect(drops: Drops) -> pd.DataFrame:
    """Does calibration on a family's own prompts (``{family}_prompts``) help it, and what does it cost the others?

    Returns:
        Columns family, metric, against (another set, or ``mean of others``), on (the family, or ``others``), gain
        (points less dropped than under the other sets), low, high, p. Empty where the study has no such set.
    """
    own = calibrated_only(drops)
    names, seeds = calibrations(own), own.cells["seed"].nunique()
    rows = []
    for family in own.families:
        prompts = f"{family}_prompts"
        rest = [name for name in names if name != prompts]
        if prompts not in names or not rest:
            continue
        sides = {"mean of others": np.mean([even_weights(own, name) for name in rest], axis=0)}
        sides |= {name: even_weights(own, name) for name in rest if name in ("c4", "wiki")}
        for against, weights in sides.items():
            for on, part in (("family", _of(own, family, True)), ("others", _of(own, family, False))):
                if not part.datasets:
                    continue
                several = len(rest) if against == "mean of others" else 1
                variance = np.nan_to_num(draw_variance(part, EVERYTHING)) / seeds * (1 + 1 / several)
                gain = part.estimate(weights - even_weights(own, prompts), EVERYTHING)
                gain = gain.wider(variance, draw_freedom(part))
                row = {"family": family, "metric": drops.metric, "against": against, "on": on}
                rows.append(row | _numbers("gain", "", gain) | {"p": gain.p})
    return pd.DataFrame(rows, columns=["family", "metric", "against", "on", "gain", "low", "high", "p"])


def _of(drops: Drops, family: str, own: bool) -> Drops:
    return Drops(drops.cells, tuple(one for one in drops.datasets if (one.family == family) == own), drops.metric)
