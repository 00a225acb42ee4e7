"""Pruning a language model in place: methods, mask selection, the run over its blocks.

The Lightning callbacks are in ``semprune.pruning.callbacks``: whoever only prunes need not import Lightning, which
takes longer than all the rest.
"""

from semprune.pruning.collected import CollectedStatistics, dense_statistics, prune_from
from semprune.pruning.masks import apply_masks, hash_masks
from semprune.pruning.mass import mass_lost, masses_lost
from semprune.pruning.method import Decision, Method, ScoredMethod
from semprune.pruning.methods import find_method, methods
from semprune.pruning.prune import prune_model
from semprune.pruning.reapply import apply_mask_file
from semprune.pruning.report import PruneReport
from semprune.pruning.selection import pruned_count, select_exact, select_reference
from semprune.pruning.statistics import SquareSums, running_mean_squares, token_squares
from semprune.pruning.stored_masks import StoredMasks, load_masks, save_masks
from semprune.pruning.structured import RemovalReport, remove_neurons

__all__ = [
    "CollectedStatistics",
    "Decision",
    "Method",
    "PruneReport",
    "RemovalReport",
    "ScoredMethod",
    "SquareSums",
    "StoredMasks",
    "apply_mask_file",
    "apply_masks",
    "dense_statistics",
    "find_method",
    "hash_masks",
    "load_masks",
    "mass_lost",
    "masses_lost",
    "methods",
    "prune_from",
    "prune_model",
    "pruned_count",
    "remove_neurons",
    "running_mean_squares",
    "save_masks",
    "select_exact",
    "select_reference",
    "token_squares",
]
