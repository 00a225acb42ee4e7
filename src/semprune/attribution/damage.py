"""Semantic loss of a pruned model as a table, with jackknife intervals over documents."""

from __future__ import annotations

import pandas as pd
import torch
from jaxtyping import Float
from scipy import stats
from torch import Tensor

from semprune.attribution.association import Association
from semprune.attribution.held_out import HeldOutSums
from semprune.attribution.semantic_loss import (
    association_lost,
    control_loss,
    matched_controls,
    semantic_loss,
    semantic_weights,
)


def semantic_damage(association: Association, dense: HeldOutSums, pruned: HeldOutSums) -> pd.DataFrame:
    """SL, its matched control and the excess XSL of every concept, over all layers and per layer.

    Args:
        association: The fitted association: its gate and scores weight the neurons.
        dense: Held-out statistics of the dense model.
        pruned: The same documents through the pruned model.

    Returns:
        Columns concept, level, layer (-1: all), sl, sl_random, xsl, xsl_low, xsl_high, n_documents. Intervals are
        95 %, from a delete-a-group jackknife over blocks of documents; NaN for single layers.
    """
    effect = dense.effects().cpu()
    weights = semantic_weights(association.score, effect)
    layer = association.layer
    controls = [
        matched_controls(weights, association.score, association.rms, layer, c) for c in range(weights.shape[1])
    ]

    def losses(lost: Float[Tensor, "neurons concepts"]) -> Float[Tensor, "two concepts"]:
        control = [control_loss(weights, lost, pair, c) for c, pair in enumerate(controls)]
        return torch.stack([semantic_loss(weights, lost), torch.stack(control)])

    lost = association_lost(effect, pruned.effects().cpu())
    sl, random = losses(lost)
    pairs = zip(dense.deletions, pruned.deletions, strict=True)
    spread = _jackknife(torch.stack([losses(association_lost(*(each.cpu() for each in pair))) for pair in pairs]))
    quantile = stats.t.ppf(0.975, max(len(dense.blocks) - 1, 1))
    rows = []
    for c, (name, level) in enumerate(zip(association.concepts, association.levels, strict=True)):
        common = {"concept": name, "level": level, "n_documents": int(dense.documents)}
        xsl = float(sl[c] - random[c])
        margin = float(quantile * spread[c])
        whole = {"layer": -1, "sl": float(sl[c]), "sl_random": float(random[c]), "xsl": xsl}
        rows.append(common | whole | {"xsl_low": xsl - margin, "xsl_high": xsl + margin})
        rows.extend(common | row for row in _by_layer(weights[:, c], lost[:, c], layer))
    return pd.DataFrame(rows)


def _jackknife(losses: Float[Tensor, "blocks two concepts"]) -> Float[Tensor, " concepts"]:
    """Standard error of `SL − control`, from both without each block of documents."""
    excess = losses[:, 0] - losses[:, 1]
    blocks = len(excess)
    return ((blocks - 1) / blocks * (excess - excess.mean(0)).square().sum(0)).sqrt()


def _by_layer(weights: Tensor, lost: Tensor, layer: Tensor) -> list[dict[str, float]]:
    rows = []
    for index in layer.unique().tolist():
        own = weights * (layer == index)
        if own.sum() > 0:
            value = float((own * lost).sum() / own.sum())
            nothing = float("nan")
            rows.append({"layer": index, "sl": value, "sl_random": nothing, "xsl": nothing,
                         "xsl_low": nothing, "xsl_high": nothing})  # fmt: skip
    return rows
