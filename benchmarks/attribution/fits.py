"""Fits of one seed: the association itself, its control task, a model of random weights."""

from __future__ import annotations

from typing import Any

import torch
from benchmarks.attribution.corpus import Corpus, labeller_of

from semprune.attribution.association.association import Association
from semprune.attribution.controls.control_task import control_labeller, random_weights
from semprune.attribution.fit.closed_form import fit_closed_form
from semprune.attribution.fit.fitted import fitted_association
from semprune.attribution.fit.learner import AttributionLearner, Labeller
from semprune.attribution.held_out.precision import LevelPrecision
from semprune.backbones import Backbone
from semprune.concepts.concept import Concept

Q = 0.05
Readings = dict[str, dict[str, float]]


def fit(lm: Backbone, corpus: Corpus, concepts: tuple[Concept, ...], labeller: Labeller) -> AttributionLearner:
    """The closed form with document-clustered variances."""
    return fit_closed_form(lm, labeller, corpus.shape(concepts), lambda: corpus.fit)


def refit_sums(lm: Backbone, learner: AttributionLearner, labeller: Labeller, corpus: Corpus) -> AttributionLearner:
    """The closed form of other labels on the same documents and standardisation, without variances: one forward."""
    other = AttributionLearner(learner.shape, learner.sites, learner.token.ridge, learner.token_decoder.weight.shape[1])
    other.to(lm.device).standardiser.load_state_dict(learner.standardiser.state_dict())
    for batch in corpus.fit:
        other.token_design.count(batch, labeller(batch.input_ids, batch.attention_mask))
        other.sequence_design.count(batch)
    other.token_design.freeze()
    other.sequence_design.freeze()
    with torch.no_grad():
        for batch in corpus.fit:
            other.accumulate(lm, other.labelled(batch, labeller))
        other.finish_sums()
    return other


def association_of(lm: Backbone, learner: AttributionLearner, settings: dict[str, Any]) -> Association:
    """The learner's association."""
    return fitted_association(learner, lm.fingerprint, settings, Q)


def readings(lm: Backbone, learner: AttributionLearner, labeller: Labeller, corpus: Corpus) -> Readings:
    """Held-out average precision of every concept: by its gated set, by its best neuron, and by chance.

    Returns:
        ``set``, ``neuron`` and ``prevalence``, each by concept.
    """
    levels = {"token": LevelPrecision(), "sequence": LevelPrecision()}
    names = {"token": learner.shape.concepts, "sequence": learner.shape.classes}
    positive = {level: torch.zeros(len(own), 2, dtype=torch.float64) for level, own in names.items()}
    with torch.no_grad():
        for batch in corpus.held_out:
            seen = learner.labelled(batch, labeller)
            targets = {"token": seen.targets, "sequence": learner.sequence_design.targets(batch)}
            for level, selection in zip(levels, learner.decoder_inputs(lm, seen), strict=True):
                levels[level].update(selection, targets[level])
                positive[level] += torch.stack([(targets[level] == 1).sum(0), (targets[level] >= 0).sum(0)], 1).cpu()
    out: Readings = {"set": {}, "neuron": {}, "prevalence": {}}
    for level, own in names.items():
        for kind, values in zip(("set", "neuron"), levels[level].compute(), strict=True):
            out[kind] |= dict(zip(own, values, strict=True))
        out["prevalence"] |= dict(zip(own, (positive[level][:, 0] / positive[level][:, 1]).tolist(), strict=True))
    return out


def control_readings(
    lm: Backbone, learner: AttributionLearner, labeller: Labeller, corpus: Corpus, seed: int
) -> Readings:
    """The same of random words of the same frequencies (Hewitt and Liang 2019)."""
    control = control_labeller(labeller, lambda: corpus.fit, corpus.vocabulary, seed)
    return readings(lm, refit_sums(lm, learner, control, corpus), control, corpus)


def random_model(lm: Backbone, corpus: Corpus, concepts: tuple[Concept, ...], seed: int) -> dict[str, Any]:
    """Discoveries and readings of a model of the same shape with random weights."""
    model, labeller = random_weights(lm, seed), labeller_of(lm, concepts)
    learner = fit(model, corpus, concepts, labeller)
    gate = association_of(model, learner, {}).gate
    return {"discoveries": discoveries(gate, learner), "readings": readings(model, learner, labeller, corpus)}


def discoveries(gate: torch.Tensor, learner: AttributionLearner) -> dict[str, float]:
    """Share of neuron × concept pairs that are gated, by level."""
    tokens = len(learner.shape.concepts)
    return {"token": float(gate[:, :tokens].float().mean()), "sequence": float(gate[:, tokens:].float().mean())}
