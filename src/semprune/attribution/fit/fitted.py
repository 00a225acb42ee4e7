"""From a learner that has seen its documents to the association that users keep."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Bool
from scipy.stats import spearmanr
from torch import Tensor

from semprune.attribution.association.association import Association
from semprune.attribution.association.fitted_documents import FittedDocuments
from semprune.attribution.association.score import classify
from semprune.attribution.fit.encoding import independent_t
from semprune.attribution.fit.inference import design_effect, gate
from semprune.attribution.fit.learner import AttributionLearner
from semprune.errors import ConfigurationError
from semprune.types import Fingerprint


def fitted_association(
    learner: AttributionLearner,
    fingerprint: Fingerprint,
    settings: dict[str, Any],
    q: float,
    fitted: FittedDocuments | None = None,
) -> Association:
    """Assemble both levels, gate them, and label every neuron.

    Dead neurons and neurons with massive activations are never discoveries: the former say nothing, the latter
    carry everything (equations.md S1).

    Args:
        learner: After its learning epochs.
        fingerprint: The backbone.
        settings: How it was fitted; kept in the artefact.
        q: False discovery rate of the gate.
        fitted: The documents that it was fitted on, where they are known.

    Raises:
        ConfigurationError: The fit did not see its documents even once.
    """
    if not int(learner.stage):
        raise ConfigurationError(
            "no association yet: the fit has not read its documents once. Raise --trainer.max_epochs, max_steps or "
            "limit_train_batches."
        )
    standardiser = learner.standardiser
    effect = torch.cat([learner.token.effect, learner.sequence.effect], dim=1).cpu()
    t = torch.cat([learner.token.t, learner.sequence.t], dim=1).cpu()
    dead, massive = standardiser.dead.cpu(), standardiser.massive.cpu()
    freedom = torch.cat([learner.token.degrees_of_freedom, learner.sequence.degrees_of_freedom])
    gated, q_values = gate(t, freedom, standardiser.index.widths, q)
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
            positional(learner, q),
        ),
        mean=standardiser.mean.cpu(),
        rms=standardiser.rms.cpu(),
        concepts=(*learner.shape.concepts, *learner.shape.classes),
        levels=("token",) * tokens + ("sequence",) * classes,
        sites=learner.sites,
        fingerprint=fingerprint,
        settings=settings,
        fitted=fitted,
    )


def agreement(learner: AttributionLearner, association: Association) -> float:
    """Spearman correlation of the learned matrix with the closed form, over gated token-level entries.

    Returns:
        NaN with fewer than two such entries.
    """
    gated = association.gate[:, : len(learner.shape.concepts)]
    solved = learner.token.closed_form[: learner.token.concepts].T.cpu()
    if int(gated.sum()) < 2:
        return float("nan")
    return float(spearmanr(learner.token.effect.cpu()[gated], solved[gated]).statistic)


def any_concept_found(learner: AttributionLearner, q: float) -> Bool[Tensor, " neurons"]:
    """Which neurons answer to any concept word, at a false discovery rate within their layer."""
    concepts = len(learner.shape.concepts)
    return _nuisance_found(learner, slice(concepts, concepts + 1), q)[:, 0]


def positional(learner: AttributionLearner, q: float) -> Bool[Tensor, " neurons"]:
    """Which neurons answer to where a token stands, surely, and more than to any concept.

    The effect of position is the standard deviation, over tokens, of what place and place² explain: the same unit as a
    concept's effect. Source: ours.
    """
    token, concepts = learner.token, len(learner.shape.concepts)
    one, place = concepts + 1, slice(concepts + 2, concepts + 4)
    mean = token.gram[one, place] / token.count
    covariance = (token.gram[place, place] / token.count - mean[:, None] * mean).float()
    slopes = token.coefficients.data[place]
    spread = (slopes * (covariance @ slopes)).sum(0).clamp(min=0).sqrt()
    strongest = token.coefficients.data[: concepts + 1].abs().amax(0)
    return _nuisance_found(learner, place, q).any(1) & (spread > strongest).cpu()


def _nuisance_found(learner: AttributionLearner, columns: slice, q: float) -> Bool[Tensor, "neurons columns"]:
    """Which coefficients of other regressors than concepts are discoveries within their layer.

    They have no clustered variance of their own: their independent t is divided by the neuron's design effect.
    """
    token = learner.token
    t = independent_t(token.sums, token.closed_form, token.ridge, columns.stop)[:, columns]
    t = t / design_effect(token.iid_t, token.t)[:, None]
    freedom = token.degrees_of_freedom.max().expand(t.shape[1])
    found, _ = gate(t.cpu(), freedom, learner.standardiser.index.widths, q)
    return found
