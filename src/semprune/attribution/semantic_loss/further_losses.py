"""The semantic losses that need passes of their own: readout (L2) and causal (L3), dense and pruned in one loop."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import pandas as pd
import torch
from torch import Tensor

from semprune.attribution.association.association import Association
from semprune.attribution.fit.learner import AttributionLearner, Labeller, forward_sites
from semprune.attribution.held_out.readout import Readout
from semprune.attribution.neurons.watch import token_evidence
from semprune.attribution.semantic_loss.causal_loss import CausalLoss
from semprune.attribution.semantic_loss.pruned_weights import PrunedWeights
from semprune.attribution.semantic_loss.readout_loss import readout_loss
from semprune.backbones import Backbone
from semprune.errors import SettingError
from semprune.types import DocumentBatch

FURTHER_LOSSES = ("readout", "causal")
NEURONS_KEPT = 20  # of each concept, in the table of neurons


def check_losses(names: Sequence[str]) -> None:
    """Refuse unknown names.

    Raises:
        SettingError: A name is not one of ``readout`` and ``causal``.
    """
    for name in names:
        if name not in FURTHER_LOSSES:
            raise SettingError("losses", name, f"some of {', '.join(FURTHER_LOSSES)}")


def further_losses(
    lm: Backbone,
    learner: AttributionLearner,
    association: Association,
    labeller: Labeller,
    batches: Iterable[DocumentBatch],
    changed: Mapping[str, Tensor],
    losses: Sequence[str] = FURTHER_LOSSES,
) -> dict[str, pd.DataFrame]:
    """Readout and causal loss of one pruning, over held-out documents.

    Cost per batch: two forwards for ``readout`` (dense, pruned); two forwards and one backward for ``causal``. The
    pruned weights are put in and out for each. All ranks take part, each with its share of the batches.

    Args:
        lm: The dense backbone; left dense.
        learner: Fitted, with its decoder heads.
        association: Its association.
        labeller: Labels tokens.
        batches: Held-out documents.
        changed: Masks or new weights, as :class:`PrunedWeights` takes them.
        losses: Some of ``readout`` and ``causal``.

    Returns:
        Tables by artefact: ``readout_loss`` (one row per concept), ``causal_loss`` (per concept and layer, -1: all) and
        ``causal_neurons``: concept, neuron, layer, ``change`` in nats per concept token through this neuron, and
        whether it is a discovery, of the neurons with the largest |change|.

    Raises:
        SettingError: A loss is unknown.
        BackboneMismatchError: The association is another backbone's.
        ConfigurationError: Too few documents to refit a readout.
        NonFiniteError: The objective is NaN or infinite.
    """
    check_losses(losses)
    pruned = PrunedWeights(lm, changed)
    readouts = Readout(learner), Readout(learner)
    causal = CausalLoss(lm, association, pruned)
    for batch in batches:
        labelled = learner.labelled(batch, labeller)
        if "readout" in losses and len(batch.input_ids):
            with torch.no_grad(), readouts[0].gathering(lm, labelled):
                forward_sites(lm, learner.sites, batch, lambda site, h: None)
            with torch.no_grad(), pruned.in_place(), readouts[1].gathering(lm, labelled):
                forward_sites(lm, learner.sites, batch, lambda site, h: None)
        if "causal" in losses and len(batch.input_ids):
            causal.add(batch, token_evidence(labelled, len(learner.shape.classes)))
    tables = {}
    if "readout" in losses:
        tables["readout_loss"] = readout_loss(*readouts)
    if "causal" in losses:
        causal.finish()
        tables |= {"causal_loss": causal.table(), "causal_neurons": neuron_changes(causal, association)}
    return tables


def neuron_changes(loss: CausalLoss, association: Association, most: int = NEURONS_KEPT) -> pd.DataFrame:
    """The neurons through which a pruning changes the objective most at each concept's tokens."""
    names, layer, by_neuron = association.neurons, association.layer.tolist(), loss.by_neuron
    rows = []
    for c, concept in enumerate(association.concepts):
        if not torch.isfinite(by_neuron[:, c]).all():
            continue  # none of its tokens occurs in these documents
        for row in by_neuron[:, c].abs().topk(min(most, len(names))).indices.tolist():
            rows.append({"concept": concept, "neuron": names[row], "layer": layer[row],
                         "change": float(by_neuron[row, c]), "discovery": bool(association.gate[row, c])})  # fmt: skip
    return pd.DataFrame(rows, columns=["concept", "neuron", "layer", "change", "discovery"])
