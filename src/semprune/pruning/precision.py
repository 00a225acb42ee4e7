"""Full fp32 in matrix products, whatever the user allowed for the model's own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def full_fp32() -> Iterator[None]:
    """No TF32 and no bf16 inside fp32 products; the user's setting comes back on leaving.

    Second moments and their inverse lose half their digits otherwise. Source: SCIENCE P4 (TF32 off).
    """
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)
