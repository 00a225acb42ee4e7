"""What passes over a model say, as the tables of a cell."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any

import pandas as pd
from torch import Tensor

from semprune.attribution import Association, NeuronSemanticAttribution, TestPass
from semprune.attribution.association.neurons import NeuronIndex
from semprune.attribution.neurons.watch import word_means
from semprune.attribution.semantic_loss.further_losses import further_losses
from semprune.backbones import Backbone
from semprune.pruning import PruneReport
from semprune.pruning.guidance.strength import StrengthChoice
from semprune.types import DocumentBatch


def loss_table(
    test_pass: TestPass, dense: TestPass, association: Association, report: PruneReport, lm: Backbone
) -> pd.DataFrame:
    """Semantic loss by activations, and by weights alone in the columns ``wsl``, ``wsl_low`` and ``wsl_high``."""
    loss = test_pass.semantic_loss(dense, association)
    by_weights = dense.weights_only_loss(lm, association, test_pass.weights or report.masks)
    if loss.empty or by_weights.empty:
        return loss
    return loss.merge(by_weights.drop(columns="n_tokens"), on=["concept", "level", "layer"], how="left")


def further_loss_tables(
    module: NeuronSemanticAttribution,
    batches: Iterable[DocumentBatch],
    changed: Mapping[str, Tensor],
    losses: list[str],
) -> dict[str, pd.DataFrame]:
    """Further losses of a pruning over held-out documents; the model is dense before and after."""
    if not losses or module.learner is None:
        return {}
    return further_losses(module.lm, module.learner, module.association(), module.labeller, batches, changed, losses)


def strength_table(choice: StrengthChoice) -> pd.DataFrame:
    """Every strength that was tried."""
    shared = {"dense_kept": choice.dense.kept, "budget": choice.budget}
    return pd.DataFrame([asdict(each) | shared | {"chosen": each.strength == choice.strength} for each in choice.tried])


def sparsity_table(report: PruneReport, lm: Backbone) -> pd.DataFrame:
    """Measured sparsity of every matrix."""
    return pd.DataFrame([
        {"matrix": matrix.name, "layer": matrix.layer, "role": matrix.role, "measured": report.sparsity[matrix.name]}
        for matrix in lm.matrices
    ])  # fmt: skip


def evidence_table(test_pass: TestPass, association: Association) -> pd.DataFrame:
    """Mean raw activation of each watched neuron over each concept's evidence."""
    if test_pass.watch is None:
        return pd.DataFrame(columns=["neuron", "concept", "mean"])
    means, names = test_pass.watch.evidence_means(), association.neurons
    return pd.DataFrame(
        [
            {"neuron": names[row], "concept": concept, "mean": float(means[c, slot])}
            for slot, row in enumerate(test_pass.watch.rows)
            for c, concept in enumerate(association.concepts)
        ]
    )


def word_table(test_pass: TestPass, association: Association, cards: pd.DataFrame, lm: Backbone) -> pd.DataFrame:
    """Mean raw activation of each card's neuron at every word of its concept."""
    if test_pass.watch is None:
        return pd.DataFrame(columns=["concept", "word", "neuron", "n", "mean"])
    names, by_concept = association.neurons, cards.groupby("concept", sort=False)["neuron"]
    shown = {str(concept): association.rows(own).tolist() for concept, own in by_concept}
    words = [c for c, level in zip(association.concepts, association.levels, strict=True) if level == "token"]
    table = word_means(test_pass.watch, shown, words, lambda ids: str(lm.tokenizer.decode(ids)))
    table["neuron"] = [names[row] for row in table.pop("row")]
    return table


def word_activation_table(dense: pd.DataFrame, pruned: pd.DataFrame) -> pd.DataFrame:
    """Dense and pruned mean activation of each concept's neurons at each of its words."""
    both = dense.rename(columns={"mean": "dense"}).merge(pruned, on=["concept", "word", "neuron", "n"])
    return both.rename(columns={"mean": "pruned"})[["concept", "word", "neuron", "n", "dense", "pruned"]]


def activation_table(
    dense: pd.DataFrame, pruned: pd.DataFrame, cards: pd.DataFrame, kept: dict[str, tuple[float, float]]
) -> pd.DataFrame:
    """Dense and pruned mean activation of every card's neuron on its concept, and how much of its weights is kept."""
    both = cards[["neuron", "concept"]].merge(dense, on=["neuron", "concept"]).rename(columns={"mean": "dense"})
    both = both.merge(pruned, on=["neuron", "concept"]).rename(columns={"mean": "pruned"})
    both["kept_in"] = [kept[neuron][0] for neuron in both["neuron"]]
    both["kept_out"] = [kept[neuron][1] for neuron in both["neuron"]]
    return both


def kept_shares(report: PruneReport, lm: Backbone, neurons: list[str]) -> dict[str, tuple[float, float]]:
    """Share of each neuron's input weights (its rows of gate and up) and output weights (column of down) kept."""
    roles: dict[tuple[int, str], Tensor] = {}
    for matrix in lm.matrices:
        mask = report.masks[matrix.name]
        roles[matrix.layer, matrix.role] = mask.T if matrix.transposed else mask
    out, index = {}, NeuronIndex(lm.sites)
    for name in neurons:
        site, number = index.place(name)
        layer = site.layer
        inputs = [roles[layer, role][number].float().mean() for role in ("gate", "up") if (layer, role) in roles]
        out[name] = (float(sum(inputs)) / len(inputs), float(roles[layer, "down"][:, number].float().mean()))
    return out


def context_table(test_pass: TestPass, association: Association, lm: Backbone, documents: Any) -> pd.DataFrame:
    """The tokens that excite each watched neuron most, in their context."""
    rows, names = [], association.neurons
    watch = test_pass.watch
    assert watch is not None  # the dense pass watches
    for slot, row in enumerate(watch.rows):
        scale = float(association.rms[row]) or 1.0
        for rank, (place, value) in enumerate(watch.exciting(slot), 1):
            before, token, after = watch.around(place)
            document = documents[int(watch.document[place])]
            rows.append({
                "neuron": names[row], "rank": rank, "before": lm.tokenizer.decode(before),
                "token": lm.tokenizer.decode([token]), "after": lm.tokenizer.decode(after),
                "dataset": document.dataset, "document_id": document.document_id, "activation": value / scale,
            })  # fmt: skip
    return pd.DataFrame(rows)
