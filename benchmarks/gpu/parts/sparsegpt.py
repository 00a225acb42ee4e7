"""SparseGPT over two forwards: a few blocks first, then what they spend their time in, then all blocks."""

from __future__ import annotations

import torch
from benchmarks.gpu.parts.pruning import compare, profile
from benchmarks.gpu.record import Record
from benchmarks.gpu.settings import Sizes
from benchmarks.pruning_7b import build


def run(record: Record, sizes: Sizes, device: torch.device) -> None:
    """Take down both sizes: where all blocks do not end in time, the few say how long they would take."""
    compare(record, sizes, device, ("sparsegpt",), sizes.few_blocks)
    profile(record, build(sizes.large, 1, device), sizes, device, "sparsegpt")
    compare(record, sizes, device, ("sparsegpt",), sizes.large_blocks)
