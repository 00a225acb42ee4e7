"""Associations on held-out documents, dense or pruned, in blocks of documents for jackknife intervals."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property

import torch
from jaxtyping import Float
from torch import Tensor

from semprune.attribution.fit.encoding import EncodingSums, solve
from semprune.attribution.fit.learner import AttributionLearner, LabelledBatch, forward_sites, pooled
from semprune.attribution.neurons.watch import Watch
from semprune.backbones import Backbone
from semprune.io.distributed import sum_over_ranks
from semprune.types import NeuronSite

BLOCKS = 20  # delete-a-group jackknife: the usual number of groups

LEVELS = ("token", "sequence")


class HeldOutSums:
    """Sufficient statistics of both levels, one set per block of documents.

    The standardisation is the dense model's, unchanged (equations.md S1), so dense and pruned effects share one scale.
    """

    def __init__(self, learner: AttributionLearner) -> None:
        """Allocate blocks for the learner's designs and neurons."""
        self.learner = learner
        device = learner.standardiser.median.device
        widths = {"token": learner.token_design.width, "sequence": learner.sequence_design.width}
        double = torch.float64
        self.gram = {level: torch.zeros(BLOCKS, d, d, dtype=double, device=device) for level, d in widths.items()}
        self.cross = {level: torch.zeros(BLOCKS, d, learner.neurons, device=device) for level, d in widths.items()}
        self.count = {level: torch.zeros(BLOCKS, dtype=double, device=device) for level in widths}
        self.documents = torch.zeros((), dtype=double, device=device)

    def add(self, lm: Backbone, labelled: LabelledBatch, watch: Watch | None = None) -> None:
        """One forward over a batch; each document lies in one block, with all its texts."""
        block = labelled.batch.cluster % BLOCKS
        pieces = {"token": labelled.token, "sequence": labelled.sequence[:, None]}
        for level, rows in pieces.items():
            wide = rows.double()
            self.gram[level].index_add_(0, block, torch.bmm(wide.transpose(1, 2), wide))
        self.count["token"].index_add_(0, block, labelled.valid.sum(1).double())
        self.count["sequence"].index_add_(0, block, torch.ones_like(block, dtype=torch.float64))
        self.documents += len(labelled.sequence)
        if watch is not None:
            watch.begin(labelled)

        def take(site: NeuronSite, activations: Tensor) -> None:
            where = self.learner.standardiser.index.where(site)
            z = self.learner.standardised(site, activations, labelled)
            if watch is not None:
                watch.take(site, activations, labelled.valid)
            mean = pooled(z, labelled.valid)[:, None]
            for level, targets in (("token", z), ("sequence", mean)):
                each = torch.bmm(pieces[level].transpose(1, 2), targets)  # [documents, regressors, neurons]
                self.cross[level][:, :, where].index_add_(0, block, each)

        forward_sites(lm, self.learner.sites, labelled.batch, take)

    def finish(self) -> None:
        """Sum over ranks."""
        for level in LEVELS:
            sum_over_ranks(self.gram[level], self.cross[level], self.count[level])
        sum_over_ranks(self.documents)

    def tensors(self) -> dict[str, Tensor]:
        """Everything that was summed, for a file."""
        out = {"documents": self.documents}
        for level in LEVELS:
            out |= {f"{level}.{name}": getattr(self, name)[level] for name in ("gram", "cross", "count")}
        return out

    def load(self, tensors: dict[str, Tensor]) -> None:
        """Take back what :meth:`tensors` gave."""
        self.documents.copy_(tensors["documents"])
        for level in LEVELS:
            for name in ("gram", "cross", "count"):
                getattr(self, name)[level].copy_(tensors[f"{level}.{name}"])

    @property
    def blocks(self) -> list[int]:
        """Blocks that hold documents."""
        return [block for block in range(BLOCKS) if self.count["sequence"][block] > 0]

    @cached_property
    def effects(self) -> Float[Tensor, "neurons concepts"]:
        """Effects of all concepts (token level, then sequence level) over all documents; solved once."""
        return self._solved(self._whole)

    @cached_property
    def deletions(self) -> list[Float[Tensor, "neurons concepts"]]:
        """Effects without each block that holds documents, in turn; solved once, after :meth:`finish`."""
        return [
            self._solved({level: _less(self._whole[level], self._sums(level, [block])) for level in LEVELS})
            for block in self.blocks
        ]

    @cached_property
    def halves(self) -> tuple[Float[Tensor, "neurons concepts"], Float[Tensor, "neurons concepts"]]:
        """Effects over every other block that holds documents, and over the others."""
        return tuple(  # type: ignore[return-value]  # two of them
            self._solved({level: self._sums(level, self.blocks[half::2]) for level in LEVELS}) for half in (0, 1)
        )

    @cached_property
    def _whole(self) -> dict[str, EncodingSums]:
        return {level: self._sums(level) for level in LEVELS}

    def _sums(self, level: str, blocks: list[int] | None = None) -> EncodingSums:
        """Float64 sums of some blocks, or of all."""
        parts = [kind[level] for kind in (self.gram, self.cross, self.count)]
        gram, cross, count = ((part if blocks is None else part[blocks]).sum(0, dtype=torch.float64) for part in parts)
        return EncodingSums(gram, cross, torch.zeros(self.learner.neurons), count)

    def _solved(self, sums: dict[str, EncodingSums]) -> Float[Tensor, "neurons concepts"]:
        encoders = {level: getattr(self.learner, level) for level in LEVELS}
        return torch.cat([solve(sums[level], each.ridge, each.concepts).T for level, each in encoders.items()], dim=1)


def _less(whole: EncodingSums, part: EncodingSums) -> EncodingSums:
    return replace(whole, gram=whole.gram - part.gram, cross=whole.cross - part.cross, count=whole.count - part.count)
