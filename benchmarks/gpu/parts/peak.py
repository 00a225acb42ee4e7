"""What the device reaches in a large product of bfloat16 matrices, and in a copy: the two ceilings."""

from __future__ import annotations

import torch
from benchmarks.gpu.record import Record, Row
from benchmarks.gpu.settings import Sizes
from benchmarks.gpu.timing import Spread, in_turn


def run(record: Record, sizes: Sizes, device: torch.device) -> None:
    """Take both down; random numbers, since a GPU is faster at zeros."""
    one, other = (torch.randn(sizes.product, sizes.product, device=device, dtype=torch.bfloat16) for _ in range(2))
    copy = torch.empty_like(one)
    found = in_turn({"product": lambda: one @ other, "copy": lambda: copy.copy_(one)}, device, 3 * sizes.repeats, 3)
    rate = 2 * sizes.product**3 / Spread.of(found["product"]).median
    record.add(Row(f"product of {sizes.product}³", Spread.of(found["product"]), note=f"{rate / 1e12:.3g} TFLOP/s"))
    moved = 2 * one.numel() * one.element_size() / Spread.of(found["copy"]).median
    record.add(Row("copy of one matrix", Spread.of(found["copy"]), note=f"{moved / 1e9:.3g} GB/s, read and written"))
