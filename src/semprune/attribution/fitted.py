"""From a learner that has seen its documents to the association that users keep."""

from __future__ import annotations

from typing import Any

import torch

from semprune.attribution.association import Association
from semprune.attribution.inference import gate
from semprune.attribution.learner import AttributionLearner
from semprune.attribution.specificity import classify
from semprune.types import Fingerprint


def fitted_association(
    learner: AttributionLearner, fingerprint: Fingerprint, settings: dict[str, Any], q: float
) -> Association:
    """Assemble both levels, gate them, and label every neuron.

    Dead neurons and neurons with massive activations are never discoveries: the former say nothing, the latter
    carry everything (SCIENCE S1).

    Args:
        learner: After its learning epochs.
        fingerprint: The backbone.
        settings: How it was fitted; kept in the artefact.
        q: False discovery rate of the gate.
    """
    standardiser = learner.standardiser
    effect = torch.cat([learner.token.effect, learner.sequence.effect], dim=1).cpu()
    t = torch.cat([learner.token.t, learner.sequence.t], dim=1).cpu()
    excluded = (standardiser.dead | standardiser.massive).cpu()
    freedom = torch.cat([learner.token_design.degrees_of_freedom, learner.sequence_design.degrees_of_freedom])
    gated, q_values = gate(t, freedom, tuple(site.width for site in learner.sites), q)
    gated &= ~excluded[:, None]
    tokens, classes = len(learner.shape.concepts), len(learner.shape.classes)
    any_concept = learner.token.coefficients.data[tokens].cpu()
    return Association(
        matrix=effect,
        t=t,
        q=q_values.float(),
        gate=gated,
        any_concept=any_concept,
        neuron_class=classify(effect, any_concept, gated, standardiser.dead.cpu(), standardiser.massive.cpu()),
        mean=standardiser.mean.cpu(),
        rms=standardiser.rms.cpu(),
        concepts=(*learner.shape.concepts, *learner.shape.classes),
        levels=("token",) * tokens + ("sequence",) * classes,
        sites=learner.sites,
        fingerprint=fingerprint,
        settings=settings,
    )
