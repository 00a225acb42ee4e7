"""The association without a trainer: closed form and clustered variances over documents that can be read again.

What the LightningModule does in its first two epochs, less the SGD: for controls, baselines and checks, which fit many
times and compare.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from jaxtyping import Float
from torch import Tensor

from semprune.attribution.fit.average_precision import ConceptAveragePrecision
from semprune.attribution.fit.learner import AttributionLearner, Labeller, LearnerShape
from semprune.attribution.fit.preparation import prepare
from semprune.backbones import Backbone
from semprune.ranges import checked
from semprune.types import Count, DocumentBatch, NonNegative

Batches = Callable[[], Iterable[DocumentBatch]]
"""Gives the batches of an epoch; can be called again."""


@checked
def fit_closed_form(
    lm: Backbone,
    labeller: Labeller,
    shape: LearnerShape,
    batches: Batches,
    *,
    ridge: NonNegative = 1e-4,
    decoder_neurons: Count = 32,
    sample_tokens: Count = 4096,
) -> AttributionLearner:
    """Fit both levels of the association by their closed form, with document-clustered variances.

    Four forwards over the documents' tokens at most: counts need none, the standardisation a sample, the sums one,
    the variances one.

    Args:
        lm: The frozen model.
        labeller: Labels tokens.
        shape: Concepts, classes, data sets and sizes.
        batches: The fitting documents; whole clusters in a batch.
        ridge: λ of the encoding model.
        decoder_neurons: Neurons that each decoder head reads; the heads keep their untrained start.
        sample_tokens: Tokens of the standardisation's sample.

    Returns:
        A learner whose coefficients are the closed form.

    Raises:
        ConceptWithoutEvidenceError: A concept or class does not vary over the documents.
        NonFiniteError: The model gives NaN or infinite activations.
        ConfigurationError: There is no document.
    """
    learner = AttributionLearner(shape, lm.sites, ridge, decoder_neurons).to(lm.device)
    prepare(learner, lm, labeller, batches, sample_tokens)
    with torch.no_grad():
        for batch in batches():
            learner.accumulate(lm, learner.labelled(batch, labeller))
        learner.finish_sums()
        for batch in batches():
            learner.batch_statistics(lm, learner.labelled(batch, labeller), variance=True)
    learner.finish_variance()
    return learner


def decoder_precision(
    lm: Backbone, learner: AttributionLearner, labeller: Labeller, batches: Batches
) -> Float[Tensor, " concepts"]:
    """Average precision of reading each token-level concept from its surest neurons, on held-out documents.

    The decoder's start is used: the neurons of largest |t|, weighted by their normalised effects, so that a fit
    without SGD can be judged. Source: equations.md S6.

    Returns:
        One value per token-level concept; NaN where no held-out token carries it.
    """
    metric = ConceptAveragePrecision()
    with torch.no_grad():
        for batch in batches():
            labelled = learner.labelled(batch, labeller)
            selection, _ = learner.decoder_inputs(lm, labelled)
            metric.update(learner.token_decoder(selection.values), labelled.targets)
    value: Float[Tensor, " concepts"] = metric.compute().reshape(-1)  # torchmetrics drops the axis of one concept
    return value
