"""What the decoders read on held-out documents, of one model: kept, so that heads can be refitted.

The neurons are those that the decoders chose on the dense model: `concepts × k` values per observation, no more.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from semprune.attribution.fit.decoder import Decoder, Selection
from semprune.attribution.fit.learner import AttributionLearner, LabelledBatch, pooled
from semprune.backbones import Backbone, capture
from semprune.io.distributed import gather_rows
from semprune.types import NeuronSite


@dataclass(frozen=True, slots=True)
class LevelReadout:
    """One level's observations, in the order of documents and places.

    Attributes:
        values: Standardised activations of each concept's own neurons.
        targets: 1 where the concept is there, 0 where it is not, -1 where that is not known.
        cluster: Document of each observation.
    """

    values: Float[Tensor, "n concepts k"]
    targets: Int[Tensor, "n concepts"]
    cluster: Int[Tensor, " n"]


class Readout:
    """Collects the decoders' neurons at both levels while a model reads held-out documents."""

    def __init__(self, learner: AttributionLearner) -> None:
        """Start empty."""
        self.learner = learner
        self._decoders = {"token": learner.token_decoder, "sequence": learner.sequence_decoder}
        self._parts: dict[str, list[tuple[Tensor, ...]]] = {level: [] for level in self._decoders}

    @contextmanager
    def gathering(self, lm: Backbone, labelled: LabelledBatch) -> Iterator[None]:
        """Add the one forward of these documents that runs inside the context.

        Raises:
            CaptureError: Nothing ran.
        """
        token = Selection(self.learner.token_decoder, labelled.valid.numel(), labelled.valid.device)
        sequence = Selection(self.learner.sequence_decoder, len(labelled.valid), labelled.valid.device)

        def take(site: NeuronSite, activations: Tensor) -> None:
            where = self.learner.standardiser.index.where(site)
            for selection in (token, sequence):
                z = self.learner.standardiser.columns(site, activations, selection.wanted(where))
                selection.take(where, z.flatten(0, 1) if selection is token else pooled(z, labelled.valid))

        with capture(lm.model, self.learner.sites, take):
            yield
        self._keep("token", token, labelled.targets, labelled)
        self._keep("sequence", sequence, self.learner.sequence_design.targets(labelled.batch), labelled)

    def _keep(self, level: str, selection: Selection, targets: Tensor, labelled: LabelledBatch) -> None:
        batch, width = labelled.batch, labelled.valid.shape[1] if level == "token" else 1
        known = labelled.valid.flatten() if level == "token" else (targets >= 0).any(1)
        place = torch.arange(width, device=known.device).repeat(len(batch.document))
        cluster = batch.cluster.repeat_interleave(width)
        order = batch.document.repeat_interleave(width) * self.learner.shape.longest + place
        self._parts[level].append(tuple(part[known].cpu() for part in (selection.values, targets, cluster, order)))

    def level(self, level: str) -> LevelReadout:
        """All ranks' observations of ``token`` or ``sequence`` level."""
        decoder = self._decoders[level]
        concepts, k = decoder.neurons.shape
        if not self._parts[level]:
            nothing = torch.zeros(0, dtype=torch.long)
            return LevelReadout(torch.zeros(0, concepts, k), torch.zeros(0, concepts, dtype=torch.long), nothing)
        values, targets, cluster, order = (
            gather_rows(torch.cat(parts)) for parts in zip(*self._parts[level], strict=True)
        )
        by = order.argsort(stable=True)
        return LevelReadout(values[by].view(-1, concepts, k), targets[by], cluster[by])

    def decoder(self, level: str) -> Decoder:
        """The head of a level, as it was learned on the dense model."""
        return self._decoders[level]
