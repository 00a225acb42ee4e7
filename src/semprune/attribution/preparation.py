"""Before learning: prevalence and frequency counts over the fitting documents, and the robust standardisation."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from semprune.attribution.design import valid_tokens
from semprune.attribution.learner import AttributionLearner, forward_sites
from semprune.backbones import Backbone
from semprune.concepts import TokenLabeller
from semprune.errors import ConfigurationError
from semprune.ranks import gather_rows, sum_over_ranks
from semprune.types import DocumentBatch, NeuronSite


def prepare(
    learner: AttributionLearner,
    lm: Backbone,
    labeller: TokenLabeller,
    batches: Iterable[DocumentBatch],
    sample_tokens: int,
) -> None:
    """Count labels over all batches; fit the standardisation on the first ones, until ``sample_tokens`` were seen.

    The sample is made of whole global batches, so it is the same for any number of ranks. It is bounded
    (``sample_tokens`` × neurons in fp32 during this step only); no activation is kept afterwards.

    Raises:
        ConfigurationError: There is no document.
        ConceptWithoutEvidenceError: A concept or class does not vary over the documents.
        NonFiniteError: The model gives NaN or infinite activations.
    """
    samples: dict[str, list[Tensor]] = {site.name: [] for site in learner.sites}
    seen = 0
    for batch in batches:
        learner.token_design.observe(batch, labeller(batch.input_ids, batch.attention_mask))
        learner.sequence_design.observe(batch)
        if seen < sample_tokens:
            seen += _sample(learner, lm, batch, samples)
    if not seen:
        raise ConfigurationError("there is no document to fit on. Name data sets with a fit split, or raise `limit`.")
    learner.token_design.freeze()
    learner.sequence_design.freeze()
    for site in learner.sites:
        learner.standardiser.fit_site(site, gather_rows(torch.cat(samples.pop(site.name))))


def _sample(learner: AttributionLearner, lm: Backbone, batch: DocumentBatch, samples: dict[str, list[Tensor]]) -> int:
    valid = valid_tokens(batch)
    width = {site.name: site.width for site in learner.sites}

    def keep(site: NeuronSite, activations: Tensor) -> None:
        samples[site.name].append(activations[valid].float())

    forward_sites(lm, learner.sites, batch, keep)
    if not len(batch.input_ids):
        for name, kept in samples.items():
            kept.append(torch.zeros(0, width[name], device=valid.device))
    count = valid.sum()
    sum_over_ranks(count)
    return int(count)
