"""Prunes the model of one cell, and puts the dense weights back."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import lru_cache
from typing import Any

import torch
from benchmarks.guidance.carriers import Carriers
from benchmarks.guidance.settings import Cell
from torch import Tensor

from semprune.backbones import Backbone
from semprune.pruning.block_pruner import BlockPruner, PrunedBlocks
from semprune.pruning.in_memory.calibration_pass import checked_blocks
from semprune.pruning.method import Needs
from semprune.pruning.methods import find_method
from semprune.pruning.settings import PruneSettings
from semprune.pruning.statistics.combined import combined
from semprune.pruning.weights.linear import WeightCopy
from semprune.types import LayerStats

LEAST = 1e-4
"""Smallest Fisher information of a row, as a share of the mean: one without any could not be divided by."""


@contextmanager
def pruned(lm: Backbone, carriers: Carriers, cell: Cell) -> Iterator[float]:
    """Prune as the cell says; yields the measured sparsity. Dense again afterwards."""
    amount: Any = {"pattern": cell.amount} if ":" in cell.amount else {"sparsity": float(cell.amount)}
    settings = PruneSettings(statistics="dense", **amount)
    blocks = checked_blocks(lm.model, settings)
    method = find_method(cell.method)
    rows = row_factors(carriers, cell) if cell.rows else {}
    if rows and method.group == "row":
        method = replace(method, group="matrix")  # type: ignore[type-var]  # every method is a dataclass
    stats, dense, found = statistics_of(carriers, cell), WeightCopy(lm.model), PrunedBlocks()
    pruner = BlockPruner(method, settings)
    try:
        for own in blocks.values():
            for linear in own if rows else ():
                linear.write(linear.stored * rows[linear.name][:, None])
            found.add(pruner.decide(own, stats))
            for linear in own if rows else ():
                linear.write(linear.stored / rows[linear.name][:, None])
        yield float(sum((~kept).sum() for kept in found.masks.values())) / sum(
            kept.numel() for kept in found.masks.values()
        )
    finally:
        dense.write_back()


def statistics_of(carriers: Carriers, cell: Cell) -> Mapping[str, LayerStats]:
    """General statistics, with those of the carrier in them."""
    needs = find_method(cell.method).needs
    general = _read(carriers, "generic", needs)
    if cell.carrier == "generic":
        return general
    kept = _read(carriers, cell.carrier, needs)
    return {name: combined(each, kept[name], cell.strength) for name, each in general.items()}


@lru_cache(maxsize=3)
def _read(carriers: Carriers, carrier: str, needs: Needs) -> Mapping[str, LayerStats]:
    return carriers.statistics(carrier, needs)


def row_factors(carriers: Carriers, cell: Cell) -> dict[str, Tensor]:
    """What a matrix's rows are multiplied by while it is chosen what goes."""
    parts = [(source, 1.0) for source in ("lm", "task") if cell.rows == source]
    if cell.rows == "both":
        parts = [("lm", 1.0), ("task", cell.strength)]
    sources = [(_rows(carriers, source), share) for source, share in parts]
    found = {}
    for name in sources[0][0]:
        fisher = torch.stack([share * rows[name] / rows[name].mean() for rows, share in sources]).sum(0)
        found[name] = (fisher / fisher.mean()).clamp_min(LEAST) ** (cell.power / 2)
    return found


@lru_cache(maxsize=2)
def _rows(carriers: Carriers, source: str) -> dict[str, Tensor]:
    return carriers.rows(source)
