"""The decoder head (equations.md S3): reads a concept back from a few gated neurons; separate from the association."""

from __future__ import annotations

from bisect import bisect_left

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

POSITIVE_WEIGHT_LIMIT = 50.0  # a concept at one token in ten thousand must not drown the others


class Decoder(nn.Module):
    """Logits of each concept from its own `k` neurons, `b_c + s_c · (z_S(c) · w_c)`.

    The neurons and the first weights come from the association (a stop-gradient: the decoder never moves it).
    """

    neurons: Tensor
    positive_weight: Tensor

    def __init__(self, concepts: int, k: int) -> None:
        """Allocate for ``concepts`` concepts of ``k`` neurons each."""
        super().__init__()
        self.register_buffer("neurons", torch.zeros(concepts, k, dtype=torch.long))
        self.register_buffer("positive_weight", torch.ones(concepts))
        self.weight = nn.Parameter(torch.zeros(concepts, k))
        self.scale = nn.Parameter(torch.ones(concepts))
        self.bias = nn.Parameter(torch.zeros(concepts))

    def start(
        self, t: Float[Tensor, "neurons concepts"], effect: Float[Tensor, "neurons concepts"], prevalence: Tensor
    ) -> None:
        """Choose each concept's neurons by |t| and start from their normalised effects."""
        chosen = t.abs().topk(self.neurons.shape[1], dim=0).indices.T
        self.neurons.copy_(chosen)
        weight = effect.T.gather(1, chosen)
        self.weight.data.copy_(weight / weight.norm(dim=1, keepdim=True).clamp(min=1e-12))
        self.positive_weight.copy_(((1 - prevalence) / prevalence).clamp(max=POSITIVE_WEIGHT_LIMIT))

    def forward(self, selected: Float[Tensor, "n slots"]) -> Float[Tensor, "n concepts"]:
        """Logits from the selected neurons' standardised activations, in flat slot order."""
        z = selected.view(len(selected), *self.weight.shape)
        return self.bias + self.scale * (z * self.weight).sum(-1)

    def loss(self, selected: Float[Tensor, "n slots"], targets: Int[Tensor, "n concepts"]) -> Float[Tensor, ""]:
        """Sum over observations and concepts of the class-weighted cross-entropy; targets of -1 do not count."""
        logits = self(selected)
        known = targets >= 0
        each = nn.functional.binary_cross_entropy_with_logits(
            logits, targets.clamp(min=0).float(), reduction="none", pos_weight=self.positive_weight
        )
        return (each * known).sum()


class Selection:
    """Collects the decoder's neurons, site by site, during one forward.

    They are kept in the order of the neurons, where a site's lie side by side.
    """

    def __init__(self, decoder: Decoder, rows: int, device: torch.device) -> None:
        """Prepare for ``rows`` observations."""
        self.decoder = decoder
        self._neurons, self._slots = decoder.neurons.flatten().sort()
        self._known = self._neurons.tolist()  # a GPU is waited for once, not at every site
        self._values = torch.empty(rows, len(self._neurons), device=device)

    def _columns(self, where: slice) -> slice:
        return slice(bisect_left(self._known, where.start), bisect_left(self._known, where.stop))

    def wanted(self, where: slice) -> Int[Tensor, " columns"]:
        """Columns of one site that the decoder reads."""
        columns: Tensor = self._neurons[self._columns(where)] - where.start
        return columns

    def take(self, where: slice, wanted: Float[Tensor, "rows columns"]) -> None:
        """Take what one site's :meth:`wanted` columns hold."""
        self._values[:, self._columns(where)] = wanted

    @property
    def values(self) -> Float[Tensor, "rows slots"]:
        """The neurons' activations in flat slot order `[concepts · k]`; computed at each call."""
        values: Tensor = self._values.index_select(1, self._slots.argsort())
        return values
