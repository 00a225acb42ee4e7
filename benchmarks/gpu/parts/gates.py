"""The pass of the learned gates over the bare forward, where this version has them."""

from __future__ import annotations

from importlib.util import find_spec

import torch
from benchmarks.gpu.record import Record, Row
from benchmarks.gpu.settings import Sizes

GATES = "semprune.attribution.gates"


def run(record: Record, sizes: Sizes, device: torch.device) -> None:
    """Take down that there is nothing to measure, or that nothing measures it yet."""
    if find_spec(GATES) is None:
        record.add(Row("gates", note=f"absent: this version has no {GATES}"))
    else:
        record.add(Row("gates", note=f"not measured: {GATES} is there, but no measurement is written for it"))
