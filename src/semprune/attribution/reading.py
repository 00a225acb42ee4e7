"""How well held-out documents' concepts are read back, per concept: by its gated set, and by its best single neuron."""

from __future__ import annotations

import torch
from jaxtyping import Int
from torch import Tensor, nn

from semprune.attribution.average_precision import ConceptAveragePrecision
from semprune.attribution.decoder import Selection

SINGLE_NEURONS = 5  # the best single neuron is sought among a concept's five surest ones


class ReadingPrecision(nn.Module):
    """Average precision of one level's concepts on held-out documents (equations.md S6)."""

    def __init__(self) -> None:
        """Start without observations."""
        super().__init__()
        self.by_set = ConceptAveragePrecision()
        self.by_neuron = ConceptAveragePrecision()

    def update(self, selection: Selection, targets: Int[Tensor, "n concepts"]) -> None:
        """Add observations: the decoder's neurons, and which concepts are there (-1: unknown)."""
        if not targets.numel():
            return
        decoder, values = selection.decoder, selection.values
        self.by_set.update(decoder(values), targets)
        signed = values.view(len(values), *decoder.weight.shape) * decoder.weight.sign()
        single = signed[..., :SINGLE_NEURONS]
        self.by_neuron.update(single.flatten(1), targets[..., None].expand_as(single).flatten(1))

    def compute(self) -> tuple[list[float], list[float]]:
        """Average precision of each concept by its set, and by the best of its surest neurons; empty if unused."""
        if not self.by_set.update_called:
            return [], []
        by_set: Tensor = torch.atleast_1d(self.by_set.compute())  # torchmetrics makes one concept a scalar
        single: Tensor = self.by_neuron.compute()
        return by_set.tolist(), single.view(len(by_set), -1).nan_to_num(nan=-torch.inf).amax(1).tolist()

    def reset(self) -> None:
        """Forget all observations."""
        self.by_set.reset()
        self.by_neuron.reset()
