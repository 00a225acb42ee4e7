"""The Triton kernel of :func:`~semprune.attribution.standardisation.site_pass.site_pass`, for torch's CUDA builds.

``TRITON_INTERPRET=1`` runs it on a CPU, for tests.
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor

try:
    import triton
    import triton.language as tl
except ImportError:  # torch's CPU builds come without it
    triton = None

AVAILABLE = triton is not None
COLUMNS, ROWS, CHUNK = 128, 16, 128  # a program takes CHUNK rows of COLUMNS neurons, ROWS at a time

if triton is not None:

    @triton.jit  # type: ignore[untyped-decorator]  # triton has no types, and reads annotations itself
    def _kernel(  # type: ignore[no-untyped-def]  # noqa: ANN202
        activations, valid, median, scale, z, partial, rows, neurons, clip,  # noqa: ANN001
        COLUMNS: tl.constexpr, ROWS: tl.constexpr, CHUNK: tl.constexpr,
    ):  # fmt: skip
        """Standardise some rows of some neurons; their four sums go to ``partial[program, 4, neurons]``."""
        column = tl.program_id(0) * COLUMNS + tl.arange(0, COLUMNS)
        inside = column < neurons
        middle = tl.load(median + column, mask=inside, other=0.0)
        spread = tl.load(scale + column, mask=inside, other=0.0)
        inverse = tl.where(spread > 0, 1 / tl.maximum(spread, 1e-30), 0.0)
        total = tl.zeros([COLUMNS], tl.float32)
        squares = tl.zeros([COLUMNS], tl.float32)
        peak = tl.zeros([COLUMNS], tl.float32)
        energy = tl.zeros([COLUMNS], tl.float32)
        for offset in range(0, CHUNK, ROWS):
            row = tl.program_id(1) * CHUNK + offset + tl.arange(0, ROWS)
            counted = tl.load(valid + row, mask=row < rows, other=0) != 0
            place = row[:, None].to(tl.int64) * neurons + column[None, :]
            read = counted[:, None] & inside[None, :]
            h = tl.load(activations + place, mask=read, other=0.0).to(tl.float32)
            value = (h - middle[None, :]) * inverse[None, :]
            value = tl.where(value > clip, clip, value)  # comparisons let NaN through, as torch's clamp does
            value = tl.where(value < -clip, -clip, value)
            value = tl.where(read, value, 0.0)
            tl.store(z + place, value, mask=(row < rows)[:, None] & inside[None, :])
            total += tl.sum(h, axis=0)
            squares += tl.sum(h * h, axis=0)
            peak = tl.maximum(peak, tl.max(tl.abs(h), axis=0))
            energy += tl.sum(value * value, axis=0)
        out = partial + tl.program_id(1) * 4 * neurons + column
        tl.store(out, total, mask=inside)
        tl.store(out + neurons, squares, mask=inside)
        tl.store(out + 2 * neurons, peak, mask=inside)
        tl.store(out + 3 * neurons, energy, mask=inside)


def fused(
    activations: Float[Tensor, "documents tokens neurons"], valid: Bool[Tensor, "documents tokens"],
    median: Float[Tensor, " neurons"], scale: Float[Tensor, " neurons"], clip: float,
) -> tuple[Float[Tensor, "documents tokens neurons"], Float[Tensor, "four neurons"]]:  # fmt: skip
    """Standardised activations, and `Σ h`, `Σ h²`, `max |h|` and `Σ z²`; one read and one write of memory.

    Every program keeps sums of its own rows, which are added in a fixed order: the result does not vary between runs.
    """
    neurons = activations.shape[-1]
    rows = activations.numel() // neurons
    columns, chunks = -(-neurons // COLUMNS), -(-rows // CHUNK)
    z = torch.empty(activations.shape, dtype=torch.float32, device=activations.device)
    partial = torch.empty(chunks, 4, neurons, dtype=torch.float32, device=activations.device)
    _kernel[columns, chunks](
        activations.contiguous(), valid.contiguous().view(torch.uint8), median.contiguous(), scale.contiguous(), z,
        partial, rows, neurons, clip, COLUMNS=COLUMNS, ROWS=ROWS, CHUNK=CHUNK,
    )  # fmt: skip
    sums = partial.sum(0)
    sums[2] = partial[:, 2].amax(0)
    return z, sums
