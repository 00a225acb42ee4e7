"""Semantic loss of a pruned model as a table, with jackknife intervals over documents."""

from __future__ import annotations

from functools import cached_property

import pandas as pd
import torch
from jaxtyping import Float
from scipy import stats
from torch import Tensor

from semprune.attribution.association.association import Association
from semprune.attribution.held_out.sums import HeldOutSums
from semprune.attribution.semantic_loss.association_loss import (
    Controls,
    association_lost,
    control_loss,
    matched_controls,
    semantic_loss,
    semantic_weights,
)
from semprune.statistics.intervals import jackknife_variance


class DenseReference:
    """What every pruned model is compared with; its parts are computed once, whatever the number of these."""

    def __init__(self, association: Association, dense: HeldOutSums) -> None:
        """Compute nothing yet.

        Args:
            association: The fitted association: its gate and scores weight the neurons.
            dense: Held-out statistics of the dense model.
        """
        self.association, self.dense = association, dense

    @cached_property
    def weights(self) -> Float[Tensor, "neurons concepts"]:
        """Weight of each neuron in a concept's loss; 0 where its held-out effect is not positive."""
        return semantic_weights(self.association.score, self.dense.effects.cpu())

    @cached_property
    def certainty(self) -> Float[Tensor, "neurons concepts"]:
        """|t| of each held-out effect, by the jackknife over blocks of documents."""
        parts = zip(*(each.cpu().split(4096) for each in self.dense.deletions), strict=True)  # not a copy of all
        error = torch.cat([jackknife_variance(torch.stack(part)) for part in parts]).sqrt()
        sure: Tensor = self.dense.effects.cpu().abs() / error.clamp(min=1e-12)
        return sure

    @cached_property
    def controls(self) -> list[Controls]:
        """Comparable neurons of each concept."""
        about = self.association
        concepts = range(self.weights.shape[1])
        return [
            matched_controls(self.weights, about.score, self.certainty, about.layer, about.levels, c) for c in concepts
        ]

    @cached_property
    def floor(self) -> Float[Tensor, "two concepts"]:
        """SL and its control of a model that nobody pruned, read from one half of the documents and from the other."""
        if len(self.dense.blocks) < 2:
            return torch.full((2, self.weights.shape[1]), float("nan"))
        first, second = (half.cpu() for half in self.dense.halves)
        both = [self.losses(association_lost(*pair)) for pair in ((first, second), (second, first))]
        return torch.stack(both).mean(0)

    def losses(self, lost: Float[Tensor, "neurons concepts"]) -> Float[Tensor, "two concepts"]:
        """SL and its control."""
        control = [control_loss(self.weights, lost, pair, c) for c, pair in enumerate(self.controls)]
        return torch.stack([semantic_loss(self.weights, lost), torch.stack(control)])


def semantic_damage(reference: DenseReference, pruned: HeldOutSums) -> pd.DataFrame:
    """SL, its matched control and the excess XSL of every concept, over all layers and per layer.

    Args:
        reference: The dense model's side.
        pruned: Held-out statistics of the pruned model, over the same documents.

    Returns:
        Columns concept, level, layer (-1: all), sl, sl_random, xsl, xsl_low, xsl_high, sl_floor, xsl_floor,
        n_documents. Intervals are 95 %, from a delete-a-group jackknife over blocks of documents; NaN for single
        layers. The floors are what SL and XSL are between two halves of the documents without any pruning.
    """
    association, dense, weights = reference.association, reference.dense, reference.weights
    lost = association_lost(dense.effects.cpu(), pruned.effects.cpu())
    sl, random = reference.losses(lost)
    pairs = zip(dense.deletions, pruned.deletions, strict=True)
    without = [association_lost(*(each.cpu() for each in pair)) for pair in pairs]
    losses = torch.stack([reference.losses(each) for each in without])  # [blocks, two, concepts]
    spread = jackknife_variance(losses[:, 0] - losses[:, 1]).sqrt()
    quantile = stats.t.ppf(0.975, max(len(dense.blocks) - 1, 1))
    rows = []
    for c, (name, level) in enumerate(zip(association.concepts, association.levels, strict=True)):
        common = {"concept": name, "level": level, "n_documents": int(dense.documents)}
        xsl = float(sl[c] - random[c])
        margin = float(quantile * spread[c])
        whole = {"layer": -1, "sl": float(sl[c]), "sl_random": float(random[c]), "xsl": xsl}
        noise, of_controls = (float(each) for each in reference.floor[:, c])
        floor = {"sl_floor": noise, "xsl_floor": noise - of_controls}
        rows.append(common | whole | {"xsl_low": xsl - margin, "xsl_high": xsl + margin} | floor)
        rows.extend(common | row for row in _by_layer(weights[:, c], lost[:, c], association.layer))
    return pd.DataFrame(rows)


def _by_layer(weights: Tensor, lost: Tensor, layer: Tensor) -> list[dict[str, float]]:
    rows = []
    for index in layer.unique().tolist():
        own = weights * (layer == index)
        if own.sum() > 0:
            value = float((own * lost).sum() / own.sum())
            nothing = float("nan")
            rows.append({"layer": index, "sl": value, "sl_random": nothing, "xsl": nothing,
                         "xsl_low": nothing, "xsl_high": nothing, "sl_floor": nothing,
                         "xsl_floor": nothing})  # fmt: skip
    return rows
