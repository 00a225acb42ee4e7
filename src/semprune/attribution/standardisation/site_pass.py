"""What one site's activations of a batch give: standardised values and their sums, in few passes over memory."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from semprune.attribution.standardisation import site_kernel

CLIP = 6.0
PIECE = 2**18  # numbers whose squares stay in a core's cache


@dataclass(slots=True)
class SitePass:
    """One site's batch.

    Attributes:
        z: Standardised activations, 0 at tokens that do not count.
        energy: `Σ z²`.
        moments: `Σ h`, `Σ h²` and `max |h|` of the raw activations over the tokens that count; None if not asked for.
    """

    z: Float[Tensor, "documents tokens neurons"]
    energy: Float[Tensor, " neurons"]
    moments: Float[Tensor, "three neurons"] | None


def site_pass(
    activations: Float[Tensor, "documents tokens neurons"],
    valid: Bool[Tensor, "documents tokens"],
    median: Float[Tensor, " neurons"],
    scale: Float[Tensor, " neurons"],
    *,
    moments: bool = False,
    room: Float[Tensor, "rows neurons"] | None = None,
) -> SitePass:
    """Standardise a site's activations (equations.md S1) and sum over the tokens that count.

    On a GPU whose torch brings Triton, one kernel reads the activations once; elsewhere torch's own operations run,
    piece by piece. The two differ by the order of their sums alone.

    Args:
        activations: Of any floating dtype; not changed.
        valid: Tokens that count.
        median: Of each neuron.
        scale: Of each neuron, fp32; 0 marks a dead one, whose `z` is 0.
        moments: Whether raw moments are asked for.
        room: Where torch's own operations may leave `z`; new memory where left out.

    Example:
        >>> h, valid = torch.tensor([[[3.0], [9.0]]]), torch.tensor([[True, False]])
        >>> found = site_pass(h, valid, torch.tensor([1.0]), torch.tensor([0.5]), moments=True)
        >>> found.z.flatten().tolist(), found.energy.tolist(), found.moments.flatten().tolist()
        ([4.0, 0.0], [16.0], [3.0, 9.0, 3.0])
    """
    if activations.is_cuda and site_kernel.AVAILABLE:
        z, sums = site_kernel.fused(activations, valid, median, scale, CLIP)
        return SitePass(z, sums[3], sums[:3])
    rows, counted = activations.flatten(0, 1), valid.flatten()[:, None]
    z = torch.empty(rows.shape, device=rows.device) if room is None else room
    energy, raw = torch.zeros_like(median), torch.zeros(3, len(median), device=rows.device)
    inverse = _inverse(scale)
    for own, h, real in zip(*(each.split(_rows(rows)) for each in (z, rows, counted)), strict=True):
        _standardise(own.copy_(h), median, inverse).mul_(real)
        energy += own.square().sum(0)
        if moments:
            h = h.float() * real
            raw[0].add_(h.sum(0))
            raw[1].add_(h.square().sum(0))
            torch.maximum(raw[2], h.abs().amax(0), out=raw[2])
    return SitePass(z.view(activations.shape), energy, raw if moments else None)


def standardise(
    activations: Float[Tensor, "... neurons"], median: Float[Tensor, " neurons"], scale: Float[Tensor, " neurons"]
) -> Float[Tensor, "... neurons"]:
    """`clip((h − median) / scale, ±6)` in fp32; 0 where the scale is 0.

    Example:
        >>> standardise(torch.tensor([[1.0, 5.0, 90.0]]), torch.tensor([1.0, 5.0, 0.0]), torch.tensor([2.0, 0.0, 1.0]))
        tensor([[0., 0., 6.]])
    """
    return _standardise(activations.to(torch.float32, copy=True), median, _inverse(scale))


def _inverse(scale: Float[Tensor, " neurons"]) -> Float[Tensor, " neurons"]:
    return torch.where(scale > 0, 1 / scale.clamp(min=1e-30), 0)


def _standardise(own: Tensor, median: Tensor, inverse: Tensor) -> Tensor:
    """In place."""
    return own.sub_(median).mul_(inverse).clamp_(-CLIP, CLIP)


def sum_of_squares(values: Float[Tensor, "n *rest"]) -> Float[Tensor, "*rest"]:
    """Sum of squares over the first axis in fp32; on a CPU without a second copy of the values.

    Example:
        >>> sum_of_squares(torch.tensor([[1.0, 2.0], [3.0, 4.0]]))
        tensor([10., 20.])
    """
    if values.is_cuda:
        return values.float().square().sum(0)
    total = values.new_zeros(values.shape[1:], dtype=torch.float32)
    for own in values:
        wide = own.float()
        total.addcmul_(wide, wide)
    return total


def _rows(values: Tensor) -> int:
    """Rows of a piece; a whole tensor's temporaries would go through main memory, and be mapped anew each time."""
    return len(values) if values.is_cuda else max(1, PIECE // max(1, values[:1].numel()))


class ReusedMemory:
    """Gives the same memory for one temporary after the other, since a CPU's new memory is mapped page by page.

    A GPU's is torch's own to reuse.

    Example:
        >>> memory = ReusedMemory()
        >>> first, second = memory.take((3, 4), torch.float32), memory.take((2, 5), torch.bfloat16)
        >>> second.shape, first.data_ptr() == second.data_ptr()
        (torch.Size([2, 5]), True)
    """

    def __init__(self) -> None:
        """Start without memory."""
        self._bytes = torch.empty(0, dtype=torch.uint8)

    def take(
        self, shape: tuple[int, ...], dtype: torch.dtype, device: torch.device | None = None
    ) -> Float[Tensor, "..."]:
        """A tensor with whatever was left there; the one taken before must not be needed any more."""
        if device is not None and device.type != "cpu":
            return torch.empty(shape, dtype=dtype, device=device)
        needed = math.prod(shape) * dtype.itemsize
        if len(self._bytes) < needed:
            self._bytes = torch.empty(needed, dtype=torch.uint8)
        return self._bytes[:needed].view(dtype).view(shape)
