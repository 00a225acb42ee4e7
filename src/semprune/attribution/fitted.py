"""From a learner that has seen its documents to the association that users keep."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Bool
from torch import Tensor

from semprune.attribution.association import Association
from semprune.attribution.encoding import independent_t
from semprune.attribution.inference import design_effect, gate
from semprune.attribution.learner import AttributionLearner
from semprune.attribution.specificity import classify
from semprune.types import Fingerprint


def fitted_association(
    learner: AttributionLearner, fingerprint: Fingerprint, settings: dict[str, Any], q: float
) -> Association:
    """Assemble both levels, gate them, and label every neuron.

    Dead neurons and neurons with massive activations are never discoveries: the former say nothing, the latter
    carry everything (equations.md S1).

    Args:
        learner: After its learning epochs.
        fingerprint: The backbone.
        settings: How it was fitted; kept in the artefact.
        q: False discovery rate of the gate.
    """
    standardiser = learner.standardiser
    effect = torch.cat([learner.token.effect, learner.sequence.effect], dim=1).cpu()
    t = torch.cat([learner.token.t, learner.sequence.t], dim=1).cpu()
    dead, massive = standardiser.dead.cpu(), standardiser.massive.cpu()
    freedom = torch.cat([learner.token.degrees_of_freedom, learner.sequence.degrees_of_freedom])
    gated, q_values = gate(t, freedom, tuple(site.width for site in learner.sites), q)
    gated &= ~(dead | massive)[:, None]
    tokens, classes = len(learner.shape.concepts), len(learner.shape.classes)
    any_concept = learner.token.coefficients.data[tokens].cpu()
    return Association(
        matrix=effect,
        t=t,
        q=q_values.float(),
        gate=gated,
        any_concept=any_concept,
        neuron_class=classify(
            effect,
            any_concept,
            gated,
            standardiser.dead.cpu(),
            standardiser.massive.cpu(),
            any_concept_found(learner, q),
        ),
        mean=standardiser.mean.cpu(),
        rms=standardiser.rms.cpu(),
        concepts=(*learner.shape.concepts, *learner.shape.classes),
        levels=("token",) * tokens + ("sequence",) * classes,
        sites=learner.sites,
        fingerprint=fingerprint,
        settings=settings,
    )


def any_concept_found(learner: AttributionLearner, q: float) -> Bool[Tensor, " neurons"]:
    """Which neurons answer to any concept word, at a false discovery rate within their layer.

    The coefficient has no clustered variance of its own: its independent t is divided by the neuron's design effect.
    """
    token, concepts = learner.token, len(learner.shape.concepts)
    t = independent_t(token.sums, token.closed_form, token.ridge, concepts + 1)[:, concepts:]
    t = t / design_effect(token.iid_t, token.t)[:, None]
    freedom = token.degrees_of_freedom.max()[None]
    found, _ = gate(t.cpu(), freedom, tuple(site.width for site in learner.sites), q)
    return found[:, 0]
