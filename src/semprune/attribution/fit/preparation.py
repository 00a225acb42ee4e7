"""Before learning: prevalence and frequency counts over the fitting documents, and the robust standardisation."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import fields

import torch
from jaxtyping import Bool
from torch import Tensor

from semprune.attribution.fit.design import valid_tokens
from semprune.attribution.fit.learner import AttributionLearner, Labeller, forward_sites
from semprune.backbones import Backbone
from semprune.errors import ConfigurationError
from semprune.io.distributed import gather_rows, sum_over_ranks
from semprune.types import DocumentBatch, NeuronSite


def prepare(
    learner: AttributionLearner,
    lm: Backbone,
    labeller: Labeller,
    batches: Callable[[], Iterable[DocumentBatch]],
    sample_tokens: int,
) -> None:
    """Count labels over all batches; fit the standardisation on about ``sample_tokens`` tokens.

    The sample is every n-th text of the whole training set, so it sees all lengths and data sets and is the same for
    any number of ranks. It is bounded (``sample_tokens`` × neurons in fp32 during this step only); no activation is
    kept afterwards.

    Args:
        learner: Is given the counts and the standardisation.
        lm: The frozen model.
        labeller: Labels tokens.
        batches: Gives the batches of an epoch; called twice.
        sample_tokens: Tokens of the sample; texts are taken whole.

    Raises:
        ConfigurationError: There is no document.
        ConceptWithoutEvidenceError: A concept or class does not vary over the documents.
        NonFiniteError: The model gives NaN or infinite activations.
    """
    for batch in batches():
        learner.token_design.count(batch, labeller(batch.input_ids, batch.attention_mask))
        learner.sequence_design.count(batch)
    tokens = learner.token_design.tokens.clone()
    sum_over_ranks(tokens)
    if not tokens:
        raise ConfigurationError("there is no document to fit on. Name data sets with a fit split, or raise `limit`.")
    learner.token_design.freeze()
    learner.sequence_design.freeze()
    every = max(1, int(tokens) // sample_tokens)
    samples: dict[str, list[Tensor]] = {site.name: [] for site in learner.sites}
    for batch in batches():
        _sample(learner, lm, rows_of(batch, batch.document % every == 0), samples)
    for site in learner.sites:
        own = samples.pop(site.name) or [torch.zeros(0, site.width, device=tokens.device)]
        learner.standardiser.fit_site(site, gather_rows(torch.cat(own)))


def rows_of(batch: DocumentBatch, kept: Bool[Tensor, " documents"]) -> DocumentBatch:
    """Some of a batch's texts, without the columns that are padding for all of them."""
    longest = int(batch.attention_mask[kept].sum(1).max()) if kept.any() else 0
    parts = {field.name: getattr(batch, field.name)[kept] for field in fields(batch)}
    grids = {name: parts[name][:, :longest] for name in ("input_ids", "attention_mask")}
    return DocumentBatch(**parts | grids)


def _sample(learner: AttributionLearner, lm: Backbone, batch: DocumentBatch, samples: dict[str, list[Tensor]]) -> None:
    valid = valid_tokens(batch)

    def keep(site: NeuronSite, activations: Tensor) -> None:
        samples[site.name].append(activations[valid].float())

    forward_sites(lm, learner.sites, batch, keep)
