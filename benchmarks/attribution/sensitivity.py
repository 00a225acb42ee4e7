"""How much an association hangs on the list of words: other halves of each list, other lexicons of one meaning."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from benchmarks.attribution.corpus import Corpus, labeller_of
from benchmarks.attribution.fits import association_of, fit
from benchmarks.attribution.stability import jaccard, rank_correlation, top_rows

from semprune.attribution.association.association import Association
from semprune.attribution.fit.design import valid_tokens
from semprune.attribution.fit.learner import AttributionLearner, Labeller
from semprune.attribution.held_out.precision import LevelPrecision
from semprune.backbones import Backbone
from semprune.concepts.concept import Concept
from semprune.types import DocumentBatch


def halves(concepts: Sequence[Concept], seed: int) -> tuple[tuple[Concept, ...], tuple[Concept, ...]]:
    """Two disjoint halves of every concept's words, in the same order of concepts.

    Concepts with a token pattern or a single word cannot be halved and are left out.

    Example:
        >>> one, other = halves([Concept("a.b", ("x", "y", "z", "w"))], seed=0)
        >>> sorted(one[0].words + other[0].words), len(one[0].words)
        (['w', 'x', 'y', 'z'], 2)
    """
    random = np.random.default_rng(seed)
    first, second = [], []
    for concept in concepts:
        order = random.permutation(len(concept.words))
        if concept.token_pattern is not None or len(order) < 2:
            continue
        middle = len(order) // 2
        first.append(replace(concept, words=tuple(concept.words[k] for k in sorted(order[:middle]))))
        second.append(replace(concept, words=tuple(concept.words[k] for k in sorted(order[middle:]))))
    return tuple(first), tuple(second)


def occurring(
    pairs: Sequence[tuple[Concept, ...]], labellers: Sequence[Labeller], batches: Sequence[DocumentBatch]
) -> list[int]:
    """Places at which every list's concept occurs in the documents."""
    found = torch.ones(len(pairs[0]), dtype=torch.bool)
    for labeller in labellers:
        own = torch.zeros(len(found), dtype=torch.bool)
        for batch in batches:
            own |= labeller(batch.input_ids, batch.attention_mask)[valid_tokens(batch)].any(0).cpu()
        found &= own
    return found.nonzero()[:, 0].tolist()


def compare_lists(
    lm: Backbone, corpus: Corpus, lists: Sequence[tuple[Concept, ...]], whole: Association, share: float
) -> list[dict[str, Any]]:
    """Fit two lists apart, and hold their associations against each other and against the whole list's.

    Args:
        lm: The model.
        corpus: The documents.
        lists: Two lists with one concept for each meaning, in the same order; named alike or not.
        whole: The association of the concepts as they are, which names the first list's.
        share: Share of all neurons in a top set.

    Returns:
        For every meaning that occurs by both lists: overlap and rank correlation of the two associations, overlap of
        the first with the whole list's, and average precision of each list's neurons on either's labels.
    """
    labellers = [labeller_of(lm, own) for own in lists]
    kept = [set(occurring(lists, labellers, batches)) for batches in (corpus.fit, corpus.held_out)]
    lists = [tuple(own[k] for k in sorted(kept[0] & kept[1])) for own in lists]
    labellers = [labeller_of(lm, own) for own in lists]
    learners = [fit(lm, corpus, own, labeller) for own, labeller in zip(lists, labellers, strict=True)]
    associations = [association_of(lm, learner, {}) for learner in learners]
    crossed = [cross_readings(lm, learner, labellers, corpus) for learner in learners]
    k = max(1, int(share * len(whole.rms)))
    rows = []
    for place, concept in enumerate(lists[0]):
        one, other = (a.ranking(own[place].name).abs() for a, own in zip(associations, lists, strict=True))
        before = whole.ranking(concept.name).abs()
        rows.append({
            "concept": concept.name, "other": lists[1][place].name,
            "overlap": jaccard(top_rows(one, k), top_rows(other, k)), "correlation": rank_correlation(one, other),
            "overlap_whole": jaccard(top_rows(one, k), top_rows(before, k)),
            "discoveries": [int((one > 0).sum()), int((other > 0).sum())],
            "average_precision": [[readings[place] for readings in own] for own in crossed],
        })  # fmt: skip
    return rows


def cross_readings(
    lm: Backbone, learner: AttributionLearner, labellers: Sequence[Labeller], corpus: Corpus
) -> list[list[float]]:
    """Held-out average precision of a learner's sets on the labels of each list."""
    each = [LevelPrecision() for _ in labellers]
    with torch.no_grad():
        for batch in corpus.held_out:
            token, _ = learner.decoder_inputs(lm, learner.labelled(batch, labellers[0]))
            for reading, labeller in zip(each, labellers, strict=True):
                reading.update(token, learner.labelled(batch, labeller).targets)
    return [reading.compute()[0] for reading in each]
