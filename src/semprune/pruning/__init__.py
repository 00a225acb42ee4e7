"""Pruning a language model in place: methods, mask selection, the run over its blocks.

The Lightning callbacks are in ``semprune.pruning.callbacks.methods``: whoever only prunes need not import Lightning,
which takes longer than all the rest.
"""

from semprune.io.bits import hash_masks
from semprune.pruning.in_memory.dense_statistics import (
    CollectedStatistics,
    dense_statistics,
    mass_lost,
    masses_lost,
    prune_from,
)
from semprune.pruning.in_memory.prune_model import prune_model
from semprune.pruning.masks.apply import apply_mask_file, apply_masks
from semprune.pruning.masks.file import load_masks, save_masks
from semprune.pruning.masks.stored import StoredMasks
from semprune.pruning.method import Decision, Method, Needs, ScoredMethod, option
from semprune.pruning.methods import find_method, method_labels, methods
from semprune.pruning.removal.remove import RemovalReport, remove_neurons
from semprune.pruning.report import PruneReport
from semprune.pruning.selection.keep import keeper, pruned_count, select_exact, select_reference
from semprune.pruning.statistics.squares import SquareSums, running_mean_squares, token_squares

__all__ = [
    "CollectedStatistics",
    "Decision",
    "Method",
    "Needs",
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
    "keeper",
    "load_masks",
    "mass_lost",
    "masses_lost",
    "method_labels",
    "methods",
    "option",
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
