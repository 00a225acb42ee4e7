"""Causal semantic loss (equations.md L3): what the neurons' change at a concept's tokens does to the objective."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from semprune.attribution.association.association import Association
from semprune.attribution.fit.learner import forward_sites
from semprune.attribution.gradients.objectives import Objective, language_loss
from semprune.attribution.gradients.site_gradients import activation_gradients
from semprune.attribution.held_out.sums import BLOCKS
from semprune.attribution.semantic_loss.pruned_weights import PrunedWeights
from semprune.backbones import Backbone
from semprune.io.distributed import sum_over_ranks
from semprune.statistics.intervals import jackknife_interval
from semprune.types import DocumentBatch, NeuronSite


class CausalLoss:
    r"""First-order change of an objective through the neurons, per concept token, streamed over documents.

    .. math:: D_{jc} = E_{t \in c}\, \frac{\partial \ell}{\partial h_{tj}} (h'_{tj} - h_{tj}),
              \quad L3_c = \Big|\sum_j D_{jc}\Big|

    One forward and backward of the dense model and one forward of the pruned one per batch serve all concepts. The
    default ℓ is the summed language-model loss of the document: D is then how many nats a concept token's neurons add
    to what comes after it. The sum over the neurons of *one layer* is the first-order effect of giving this layer its
    pruned activations. Later layers' changes already contain what earlier ones caused, so the sum over layers counts
    an effect once per layer that carries it on: compare it between prunings, do not read it as nats.

    Attributes:
        change: `Σ_{t∈c} ∂ℓ/∂h (h' − h)` of each neuron and concept.
        tokens: Tokens of each concept, per block of documents.
    """

    def __init__(
        self, lm: Backbone, association: Association, pruned: PrunedWeights, objective: Objective = language_loss
    ) -> None:
        """Start from zero.

        Args:
            lm: The dense backbone.
            association: Names the sites and concepts; its discoveries are also summed on their own.
            pruned: What changed.
            objective: ℓ.

        Raises:
            BackboneMismatchError: The association is another backbone's.
        """
        association.require(lm.fingerprint)
        self._lm, self._association, self._pruned, self._objective = lm, association, pruned, objective
        neurons, concepts = association.matrix.shape
        layers = int(association.layer.max()) + 1
        double: dict[str, Any] = {"dtype": torch.float64, "device": lm.device}
        self.change: Float[Tensor, "neurons concepts"] = torch.zeros(neurons, concepts, **double)
        self.tokens: Float[Tensor, "blocks concepts"] = torch.zeros(BLOCKS, concepts, **double)
        self._by_layer: Float[Tensor, "two blocks layers concepts"] = torch.zeros(2, BLOCKS, layers, concepts, **double)
        self._gate = association.gate.to(lm.device).double()

    def add(self, batch: DocumentBatch, evidence: Bool[Tensor, "documents tokens concepts"]) -> None:
        """Add a batch: the dense model forwards and backwards, the pruned one forwards.

        Args:
            batch: The documents.
            evidence: Which tokens are whose; see :func:`semprune.attribution.neurons.watch.token_evidence`.

        Raises:
            NonFiniteError: The objective is NaN or infinite.
        """
        sites = self._association.sites
        dense = activation_gradients(self._lm, sites, lambda: self._objective(self._lm, batch))
        weights, block = evidence.transpose(1, 2).double(), batch.cluster % BLOCKS

        def compare(site: NeuronSite, after: Tensor) -> None:
            before, gradient = dense.pop(site.name)
            each = torch.bmm(weights, gradient.double() * (after.double() - before.double()))  # [texts, concepts, j]
            where = self._association.index.where(site)
            self.change[where] += each.sum(0).T
            gated = torch.einsum("dcj,jc->dc", each, self._gate[where])
            for kind, sums in enumerate((each.sum(2), gated)):
                self._by_layer[kind, :, site.layer].index_add_(0, block, sums)

        with self._pruned.in_place():
            forward_sites(self._lm, sites, batch, compare)
        self.tokens.index_add_(0, block, weights.sum(2))

    def finish(self) -> None:
        """Sum over ranks."""
        sum_over_ranks(self.change, self.tokens, self._by_layer)

    @property
    def by_neuron(self) -> Float[Tensor, "neurons concepts"]:
        """`D`: change of the objective through each neuron per concept token, nats; NaN without tokens."""
        return (self.change / self.tokens.sum(0)).cpu()

    def table(self) -> pd.DataFrame:
        """Causal loss of every concept, over all layers and per layer.

        Returns:
            Columns concept, level, layer (-1: all), causal_loss (≥ 0), then the signed change with change_low and
            change_high, the same of the concept's own neurons alone (own_loss, own_change, own_low, own_high), and
            n_tokens. Intervals are 95 %, from a delete-a-group jackknife over documents.
        """
        association, held = self._association, [b for b in range(BLOCKS) if self.tokens[b].sum() > 0]
        tokens = torch.stack([self.tokens.sum(0), *(self.tokens.sum(0) - self.tokens[b] for b in held)])
        sums = self._by_layer.sum(1, keepdim=True)
        draws = torch.cat([sums, *(sums - self._by_layer[:, b : b + 1] for b in held)], dim=1)
        means = (draws / tokens[:, None]).cpu().numpy()  # [two, 1 + blocks, layers, concepts]
        means = np.concatenate([means.sum(2, keepdims=True), means], axis=2)
        rows = []
        for c, (concept, level) in enumerate(zip(association.concepts, association.levels, strict=True)):
            for place in (0, *(layer + 1 for layer in association.layer.unique().tolist())):
                row = {"concept": concept, "level": level, "layer": place - 1}
                for kind, (loss, name, prefix) in enumerate(
                    (("causal_loss", "change", "change"), ("own_loss", "own_change", "own"))
                ):
                    value, *without = means[kind, :, place, c].tolist()
                    low, high = jackknife_interval(value, np.array(without))
                    row |= {loss: abs(value), name: value, f"{prefix}_low": low, f"{prefix}_high": high}
                rows.append(row | {"n_tokens": int(tokens[0, c])})
        return pd.DataFrame(rows)
