"""Scores of two models of one shape, and of each with activations of the other in chosen neurons."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Literal

import pandas as pd
import torch
from jaxtyping import Bool, Int
from torch import Tensor

from semprune.attribution.association.neurons import NeuronIndex
from semprune.backbones import Backbone, Patch, capture, patch
from semprune.data.batches.encoding import padding_token
from semprune.data.batches.scorable import encode_items
from semprune.errors import NonFiniteError
from semprune.evaluation.engine.packing import PackedBatch, Scored, score_packed
from semprune.evaluation.engine.request_scorer import packed_batches
from semprune.evaluation.predictions.prediction import predict, prediction_table
from semprune.types import Item, NeuronSite

Positions = Literal["all", "before_readout", "readout"]
"""Where activations are patched. The readout is every position whose distribution scores an answer."""
Into = Literal["pruned", "dense"]
"""The model that is patched, with activations of the other one."""


@dataclass(frozen=True, slots=True)
class Patching:
    """Neurons that get the other model's activations.

    Attributes:
        rows: Rows of the neuron index.
        into: Which model is patched.
    """

    rows: Int[Tensor, " chosen"]
    into: Into = "pruned"


def patched_predictions(
    dense: Backbone,
    pruned: Backbone,
    items: Sequence[Item],
    patchings: Sequence[Patching],
    sites: tuple[NeuronSite, ...],
    *,
    positions: Positions = "all",
    token_budget: int = 4096,
    progress: Callable[[int, int], None] = lambda done, of: None,
) -> tuple[pd.DataFrame, pd.DataFrame, list[pd.DataFrame]]:
    """Answers of the dense model, of the pruned one, and under each patching, of the same batches.

    Every batch is read by both models once, and once more for each patching: activations of one batch are in memory,
    nothing is stored.

    Args:
        dense: The dense backbone.
        pruned: The pruned one, with its neurons at the same sites.
        items: Items of any data sets.
        patchings: What is patched, one after another.
        sites: Whose neurons the rows are, in their order.
        positions: Where.
        token_budget: Tokens of a batch.
        progress: Told how many requests of all are answered.

    Returns:
        Tables of :func:`semprune.evaluation.predictions.prediction.prediction_table`, in one order of items.

    Raises:
        NonFiniteError: A log-likelihood is NaN or infinite.
        TooManyLeftOutError: See :func:`semprune.data.batches.scorable.encode_items`.
    """
    encoded = encode_items(dense.tokenizer, items, dense.max_length).items
    requests = [request for item in encoded for request in item.requests]
    found = [[math.nan] * len(requests) for _ in range(2 + len(patchings))]
    donors = {"pruned": _Donor(dense, patchings, "pruned", sites), "dense": _Donor(pruned, patchings, "dense", sites)}
    receivers = {"pruned": pruned, "dense": dense}
    done = 0
    for batch in packed_batches(dense.model, requests, padding_token(dense.tokenizer), token_budget):
        where = _where(batch, positions)
        scored = [donors["pruned"].read(batch), donors["dense"].read(batch)]
        for patching in patchings:
            receiver = receivers[patching.into].model
            with patch(receiver, donors[patching.into].values(patching.rows), where):
                scored.append(score_packed(receiver, batch))
        for sums, own in zip(found, scored, strict=True):
            for request, value in zip(own.requests, own.sums, strict=True):
                sums[request] = value
        done += len(scored[0].requests)
        progress(done, len(requests))
    if not all(math.isfinite(value) for sums in found for value in sums):
        raise NonFiniteError("a log-likelihood of a patched model")
    tables = [_answers(encoded, sums) for sums in found]
    return tables[0], tables[1], tables[2:]


def _answers(encoded: Sequence[Any], sums: Sequence[float]) -> pd.DataFrame:
    left = iter(sums)
    return prediction_table(predict(item.item, tuple(islice(left, len(item.requests)))) for item in encoded)


def _where(batch: PackedBatch, positions: Positions) -> Bool[Tensor, "rows tokens"] | None:
    if positions == "all":
        return None
    readout = torch.zeros(batch.input_ids.shape, dtype=torch.bool)
    readout[batch.row, batch.position] = True
    return readout if positions == "readout" else ~readout


@dataclass
class _Donor:
    """The model that activations are from: of each batch it keeps those of all neurons that any patching wants."""

    lm: Backbone
    patchings: Sequence[Patching]
    into: Into
    sites: tuple[NeuronSite, ...]
    kept: dict[str, Tensor] = field(default_factory=dict)
    wanted: dict[str, Tensor] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.index = NeuronIndex(self.sites)
        rows = [patching.rows for patching in self.patchings if patching.into == self.into]
        every = torch.cat(rows).unique() if rows else torch.zeros(0, dtype=torch.long)
        self.wanted = {site.name: self.index.within(every, site) for site in self.sites}

    def read(self, batch: PackedBatch) -> Scored:
        """Score a batch as the model is, and keep what patchings want of it."""
        sites = [site for site in self.sites if len(self.wanted[site.name])]
        if not sites:
            return score_packed(self.lm.model, batch)
        with capture(self.lm.model, sites, self._keep):
            return score_packed(self.lm.model, batch)

    def _keep(self, site: NeuronSite, activations: Tensor) -> None:
        self.kept[site.name] = activations[..., self.wanted[site.name].to(activations.device)]  # indexing copies

    def values(self, rows: Int[Tensor, " chosen"]) -> dict[str, Patch]:
        """Neurons of each site with their activations in the batch that was read last."""
        out: dict[str, Patch] = {}
        for site in self.sites:
            own = self.index.within(rows, site)
            if len(own):
                kept = self.kept[site.name]
                out[site.name] = own, kept[..., torch.searchsorted(self.wanted[site.name], own).to(kept.device)]
        return out
