"""Robust standardisation of activations (equations.md S1): frozen on the dense model, reused on pruned ones."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from semprune.attribution.association.neurons import NeuronIndex
from semprune.attribution.standardisation.site_pass import ReusedMemory, SitePass, site_pass, standardise
from semprune.errors import NonFiniteError
from semprune.io.distributed import max_over_ranks, sum_over_ranks
from semprune.types import NeuronSite

MAD_TO_SIGMA = 1.4826  # of a normal distribution
MASSIVE_ACTIVATION = 100.0
MASSIVE_RATIO = 1000.0


def robust_location_scale(sample: Float[Tensor, "tokens neurons"]) -> tuple[Tensor, Tensor]:
    """Median and 1.4826 · MAD of each neuron; the standard deviation where the MAD is 0 (ReLU neurons at rest).

    A neuron that never moves keeps scale 0: it is dead.

    Example:
        >>> median, scale = robust_location_scale(torch.tensor([[1.0], [2.0], [4.0]]))
        >>> median.item(), round(scale.item(), 4)
        (2.0, 1.4826)
    """
    median = sample.median(0).values
    scale = MAD_TO_SIGMA * (sample - median).abs().median(0).values
    return median, torch.where(scale > 0, scale, sample.std(0, correction=0))


class Standardiser(nn.Module):
    """Per-neuron `z = clip((h − median) / scale, ±6)` over all sites, with moments of the raw activations.

    Attributes:
        median: Median of each neuron over a sample of tokens.
        scale: 1.4826 · MAD over the same sample; 0 marks a dead neuron.
        typical: Median |h| of each site, for finding massive activations.
        total: Running `Σ h` over valid tokens; with ``squares`` and ``tokens`` gives mean and RMS.
        peak: Running maximum of |h|.
    """

    median: Tensor
    scale: Tensor
    typical: Tensor
    total: Tensor
    squares: Tensor
    peak: Tensor
    tokens: Tensor

    def __init__(self, sites: tuple[NeuronSite, ...]) -> None:
        """Allocate the buffers for these sites."""
        super().__init__()
        self.index = NeuronIndex(sites)
        neurons = len(self.index)
        self.positions = {site.name: k for k, site in enumerate(sites)}
        for name in ("median", "scale", "peak"):
            self.register_buffer(name, torch.zeros(neurons))
        for name in ("total", "squares"):  # float64: their rounding must not depend on the number of ranks
            self.register_buffer(name, torch.zeros(neurons, dtype=torch.float64))
        self.register_buffer("typical", torch.zeros(len(sites)))
        self.register_buffer("tokens", torch.zeros((), dtype=torch.float64))
        self._memory = ReusedMemory()

    def fit_site(self, site: NeuronSite, sample: Float[Tensor, "tokens neurons"]) -> None:
        """Set location and scale of one site from a sample of its activations.

        Raises:
            NonFiniteError: The sample holds NaN or infinity.
        """
        if not torch.isfinite(sample).all():
            raise NonFiniteError(f"activations of {site.name}")
        where = self.index.where(site)
        self.median[where], self.scale[where] = robust_location_scale(sample)
        self.typical[self.positions[site.name]] = sample.abs().median()

    def take(
        self, site: NeuronSite, activations: Float[Tensor, "documents tokens neurons"], valid: Bool[Tensor, "..."],
        *, moments: bool = False, brief: bool = False,
    ) -> SitePass:  # fmt: skip
        """Standardise a batch of one site.

        Args:
            site: The site.
            activations: Its activations.
            valid: Tokens that count.
            moments: Whether to add the raw activations to the running moments.
            brief: Whether `z` may be overwritten by the next site's.
        """
        where = self.index.where(site)
        rows, device = activations.shape[:2].numel(), activations.device
        room = self._memory.take((rows, site.width), torch.float32, device) if brief else None
        own = site_pass(activations, valid, self.median[where], self.scale[where], moments=moments, room=room)
        if moments and own.moments is not None:
            self.total[where].add_(own.moments[0])
            self.squares[where].add_(own.moments[1])
            self.peak[where] = torch.maximum(self.peak[where], own.moments[2])
        return own

    def finish(self) -> None:
        """Sum the moments over ranks."""
        sum_over_ranks(self.total, self.squares, self.tokens)
        max_over_ranks(self.peak)

    def forward(self, site: NeuronSite, activations: Float[Tensor, "... neurons"]) -> Float[Tensor, "... neurons"]:
        """Standardise the activations of one site, in any dtype, to fp32; dead neurons give 0."""
        where = self.index.where(site)
        return standardise(activations, self.median[where], self.scale[where])

    def columns(
        self, site: NeuronSite, activations: Float[Tensor, "... neurons"], columns: Int[Tensor, " chosen"]
    ) -> Float[Tensor, "... chosen"]:
        """Standardise a few neurons of one site."""
        where = columns + self.index.where(site).start
        return standardise(activations[..., columns], self.median[where], self.scale[where])

    @property
    def dead(self) -> Bool[Tensor, " neurons"]:
        """Neurons that never moved in the sample."""
        return self.scale == 0

    @property
    def massive(self) -> Bool[Tensor, " neurons"]:
        """Neurons with an activation above 100 and above 1000 × the median of their layer (equations.md S1)."""
        typical = self.typical.repeat_interleave(torch.tensor(self.index.widths, device=self.typical.device))
        return (self.peak > MASSIVE_ACTIVATION) & (self.peak > MASSIVE_RATIO * typical)

    @property
    def mean(self) -> Float[Tensor, " neurons"]:
        """Mean raw activation over valid tokens, the constant for mean-ablation."""
        return (self.total / self.tokens).float()

    @property
    def rms(self) -> Float[Tensor, " neurons"]:
        """Root mean square of the raw activation over valid tokens."""
        return (self.squares / self.tokens).sqrt().float()
