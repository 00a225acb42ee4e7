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


def carrier_rows():
    """Two neurons of a set of gates: each little alone, and less with the others."""
    for rank, (neuron, excited, writes) in enumerate(
        [("layers.26.mlp/1408", "a film that is ‹superb›", "'excellent' ' positives'"),
         ("layers.22.mlp/1001", "so ‹dull›\n that", "' against' ' negative'")], 1
    ):  # fmt: skip
        yield {"target": "sentiment", "dataset": "movie_reviews", "ranking": "gates", "neuron": neuron, "rank": rank,
               "k": 460, "n": 200, "dense": 0.458, "together": 0.45, "alone": 0.02 / rank, "alone_low": 0.005,
               "alone_high": 0.03, "with_others": 0.001, "with_others_low": -0.004, "with_others_high": 0.006,
               "excited_by": excited, "writes": writes}  # fmt: skip


def gate_control_rows():
    """The concept's gates take the task in both kinds of answers, no control does."""
    lost = {
        "learned": 0.4,
        "permuted_labels": 0.03,
        "wrong_concept": 0.01,
        "random_weights": 0.0,
        "random_neurons": 0.0,
    }
    for control, value in lost.items():
        for answers, share in (("fitted", 1.0), ("other", 0.7)):
            yield {"concept": "amazon_reviews.positive", "control": control, "dataset": "movie_reviews",
                   "answers": answers, "k": 460, "seeds": 2, "n": 80, "dense": 0.88, "lost": share * value,
                   "lost_low": share * value - 0.05, "lost_high": share * value + 0.05, "kl": 0.08,
                   "refused": float(control in ("permuted_labels", "random_weights"))}  # fmt: skip


def gate_overlap_rows():
    """Two seeds with a third of their neurons in common, which take as much."""
    yield {"concept": "amazon_reviews.positive", "first": 0, "second": 1, "k": 460, "shared": 0.33, "chance": 0.01,
           "lost_first": 0.4, "lost_second": 0.42, "more": 0.02, "more_low": -0.02, "more_high": 0.06}  # fmt: skip
