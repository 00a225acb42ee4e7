"""Pruning a language model in place: methods, mask selection, the run over its blocks.

The Lightning callbacks are in ``semprune.pruning.callbacks.methods``: whoever only prunes need not import Lightning,
which takes longer than all the rest.
"""

from semprune.pruning.guidance.protection import Protection
from semprune.pruning.in_memory.dense_statistics import CollectedStatistics, dense_statistics, prune_from
from semprune.pruning.in_memory.prune_model import prune_model
from semprune.pruning.masks.apply import apply_mask_file, apply_masks
from semprune.pruning.masks.file import load_masks, save_masks
from semprune.pruning.masks.merge import merge_adapters
from semprune.pruning.masks.stored import StoredMasks
from semprune.pruning.method import Decision, Method, Needs, ScoredMethod, option
from semprune.pruning.methods import find_method, method_labels
from semprune.pruning.removal.remove import RemovalReport, remove_neurons
from semprune.pruning.report import PruneReport
from semprune.pruning.selection.keep import keeper

__all__ = [
    "CollectedStatistics",
    "Decision",
    "Method",
    "Needs",
    "Protection",
    "PruneReport",
    "RemovalReport",
    "ScoredMethod",
    "StoredMasks",
    "apply_mask_file",
    "apply_masks",
    "dense_statistics",
    "find_method",
    "keeper",
    "load_masks",
    "merge_adapters",
    "method_labels",
    "option",
    "prune_from",
    "prune_model",
    "remove_neurons",
    "save_masks",
]
