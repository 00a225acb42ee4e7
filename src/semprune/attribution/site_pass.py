"""What one site's activations of a batch give: standardised values and their sums, in few passes over memory."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from semprune.attribution import site_kernel

CLIP = 6.0


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
) -> SitePass:
    """Standardise a site's activations (equations.md S1) and sum over the tokens that count.

    On a GPU whose torch brings Triton, one kernel reads the activations once; elsewhere torch's own operations run,
    each a pass over memory. The two differ by the order of their sums alone.

    Args:
        activations: Of any floating dtype; not changed.
        valid: Tokens that count.
        median: Of each neuron.
        scale: Of each neuron, fp32; 0 marks a dead one, whose `z` is 0.
        moments: Whether raw moments are asked for.

    Example:
        >>> h, valid = torch.tensor([[[3.0], [9.0]]]), torch.tensor([[True, False]])
        >>> found = site_pass(h, valid, torch.tensor([1.0]), torch.tensor([0.5]), moments=True)
        >>> found.z.flatten().tolist(), found.energy.tolist(), found.moments.flatten().tolist()
        ([4.0, 0.0], [16.0], [3.0, 9.0, 3.0])
    """
    if activations.is_cuda and site_kernel.AVAILABLE:
        z, sums = site_kernel.fused(activations, valid, median, scale, CLIP)
        return SitePass(z, sums[3], sums[:3])
    counted = valid[..., None]
    z = standardise(activations, median, scale)
    z.mul_(counted)
    energy = z.flatten(0, 1).square().sum(0)
    return SitePass(z, energy, _raw_moments(activations.float() * counted) if moments else None)


def standardise(
    activations: Float[Tensor, "... neurons"], median: Float[Tensor, " neurons"], scale: Float[Tensor, " neurons"]
) -> Float[Tensor, "... neurons"]:
    """`clip((h − median) / scale, ±6)` in fp32; 0 where the scale is 0.

    Example:
        >>> standardise(torch.tensor([[1.0, 5.0, 90.0]]), torch.tensor([1.0, 5.0, 0.0]), torch.tensor([2.0, 0.0, 1.0]))
        tensor([[0., 0., 6.]])
    """
    inverse = torch.where(scale > 0, 1 / scale.clamp(min=1e-30), 0)
    own = activations.to(torch.float32, copy=True)  # then in place: one pass over memory each
    return own.sub_(median).mul_(inverse).clamp_(-CLIP, CLIP)


def _raw_moments(raw: Float[Tensor, "documents tokens neurons"]) -> Float[Tensor, "three neurons"]:
    rows = raw.flatten(0, 1)
    return torch.stack([rows.sum(0), rows.square().sum(0), rows.abs().amax(0)])
