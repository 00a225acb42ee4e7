"""Rows of a causal frontier and of mediation, with figures that a reader can follow."""

from __future__ import annotations

import numpy as np

SHARES = {0.001: 46, 0.01: 460, 0.02: 921}
COSTS = {"gates": (0.004, 0.03, 0.08), "association": (0.01, 0.06, 0.2), "matched_random": (0.002, 0.02, 0.05)}
LOST = {"gates": (0.2, 0.4, 0.45), "association": (0.02, 0.1, 0.2), "matched_random": (0.0, 0.003, 0.01)}
RECOVERED = {"chosen": 0.85, "matched": 0.02, "others": 0.1}


def frontier_rows():
    """Three sets at three sizes: gates lose most at least cost."""
    for selection, costs in COSTS.items():
        for place, (share, k) in enumerate(SHARES.items()):
            for measure, value in (("auroc_lost", LOST[selection][place]), ("kl_general", costs[place]),
                                   ("log_perplexity_general", costs[place] / 2)):  # fmt: skip
                yield {"target": "sentiment", "dataset": "movie_reviews", "selection": selection, "share": share,
                       "k": k, "draws": 20 if selection == "matched_random" else 1, "measure": measure,
                       "value": value, "value_low": value - 0.01, "value_high": value + 0.01, "n": 200}  # fmt: skip


def dose_rows():
    """Lost at two doses; matched neurons never reach the larger one."""
    for selection, costs in COSTS.items():
        for dose in (0.01, 0.1):
            reached = max(costs) >= dose
            lost = 0.1 if reached else np.nan
            yield {"target": "sentiment", "dataset": "movie_reviews", "selection": selection, "measure": "auroc_lost",
                   "collateral": "kl_general", "dose": dose, "largest": max(costs),
                   "share": 0.005 if reached else np.nan, "lost": lost, "lost_low": lost - 0.02,
                   "lost_high": lost + 0.02, "excess": lost, "excess_low": lost, "excess_high": lost}  # fmt: skip


def mediation_rows(cell, dataset="movie_reviews", lost=True):
    """One pruned model: two rankings, both directions; without a loss there is no share."""
    for ranking in ("score", "gates"):
        for neurons, share in RECOVERED.items():
            for into in ("pruned", "dense"):
                recovered = share * (0.5 if ranking == "score" else 1) if lost else np.nan
                yield {**cell, "target": "sentiment", "dataset": dataset, "positions": "all", "first_layer": 0,
                       "last_layer": 29, "share": 0.01, "ranking": ranking, "neurons": neurons, "into": into,
                       "k": 45620 if neurons == "others" else 460, "draws": 3 if neurons == "matched" else 1,
                       "n": 200, "dense": 0.919, "pruned": 0.776, "patched": 0.898, "patched_low": 0.85,
                       "patched_high": 0.94, "recovered": recovered, "recovered_low": recovered - 0.05,
                       "recovered_high": recovered + 0.05}  # fmt: skip
