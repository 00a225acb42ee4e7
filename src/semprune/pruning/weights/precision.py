"""Full fp32 in matrix products, whatever the user allowed for the model's own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from semprune.backbones.hardware import multiplies_bfloat16, onednn_keeps_fp32


@contextmanager
def full_fp32(operands: torch.dtype | None = None) -> Iterator[None]:
    """No TF32 and no bf16 inside fp32 products; the user's setting comes back on leaving.

    Second moments and their inverse lose half their digits otherwise. Source: equations.md P4 (TF32 off).

    Args:
        operands: What the operands were before they became fp32; None for torch's default kernels, bit for bit. Else
            a CPU may take oneDNN's: in fp32 where they are faster at that, and those from bfloat16 as bfloat16 with
            totals in fp32 where there is AMX. The latter is exact for the numbers themselves; what was computed from
            them is rounded to the digits that they had.
    """
    narrow = operands == torch.bfloat16 and multiplies_bfloat16(torch.device("cpu"))
    onednn = operands is not None and (narrow or onednn_keeps_fp32())
    # One by one: torch refuses to read the setting for all where a user set a backend's own.
    gpu, cpu = torch.backends.cuda.matmul, torch.backends.mkldnn.matmul  # type: ignore[attr-defined]  # untyped
    before = gpu.fp32_precision, cpu.fp32_precision
    try:
        gpu.fp32_precision, cpu.fp32_precision = "ieee", "bf16" if onednn else "ieee"
        yield
    finally:
        gpu.fp32_precision, cpu.fp32_precision = before
