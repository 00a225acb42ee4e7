"""How far an association hangs on the words that a concept's list happens to hold (ours)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import pandas as pd
import torch
from scipy.stats import spearmanr

from semprune.attribution.fit.closed_form import Batches, fit_closed_form
from semprune.attribution.fit.learner import Labeller, LearnerShape
from semprune.backbones import Backbone
from semprune.concepts import Concept
from semprune.ranges import checked
from semprune.types import Count, Seed

FEWEST_WORDS = 2


def halves(concept: Concept, random: torch.Generator) -> tuple[Concept, Concept]:
    """Two concepts of half the words each; one without words (a token pattern) is both halves itself.

    Example:
        >>> one, other = halves(Concept("own.day", ("dawn", "dusk", "noon", "night")), torch.Generator().manual_seed(0))
        >>> sorted(one.words + other.words)
        ['dawn', 'dusk', 'night', 'noon']
    """
    words = concept.words
    if len(words) < FEWEST_WORDS:
        return concept, concept
    order = torch.randperm(len(words), generator=random).tolist()
    cut = len(words) // 2
    first, second = (tuple(words[k] for k in own) for own in (order[:cut], order[cut:]))
    return replace(concept, words=first), replace(concept, words=second)


@checked
def list_sensitivity(
    lm: Backbone,
    concepts: Sequence[Concept],
    labeller: Callable[[Sequence[Concept]], Labeller],
    shape: LearnerShape,
    batches: Batches,
    *,
    draws: Count = 1,
    top: Count = 20,
    seed: Seed = 0,
) -> pd.DataFrame:
    """Fit each concept from one random half of its words and from the other, and compare the neurons found.

    Two fits per draw; each is three forwards over the documents.

    Args:
        lm: The frozen model.
        concepts: Their word lists are halved.
        labeller: Makes a labeller of concepts.
        shape: The learner's shape.
        batches: Fitting documents.
        draws: Random halvings.
        top: Strongest neurons whose overlap is counted.
        seed: Of the halvings.

    Returns:
        One row per concept and draw: ``words`` (of the whole list), ``overlap`` (share of the top neurons by t that
        both halves name; by chance about top / neurons) and ``spearman`` of t over the neurons that either names.

    Raises:
        SettingError: ``draws`` is not positive.
        ConceptWithoutEvidenceError: The words of a half do not occur in the documents.
    """
    random = torch.Generator().manual_seed(seed)
    rows = []
    for draw in range(draws):
        sides = list(zip(*(halves(concept, random) for concept in concepts), strict=True))
        one, other = (fit_closed_form(lm, labeller(side), shape, batches).token.t.cpu() for side in sides)
        for c, concept in enumerate(concepts):
            best = [set(t[:, c].topk(top).indices.tolist()) for t in (one, other)]
            either = sorted(best[0] | best[1])
            correlation = float(spearmanr(one[either, c], other[either, c]).statistic)
            rows.append({"concept": concept.name, "draw": draw, "words": len(concept.words),
                         "overlap": len(best[0] & best[1]) / top, "spearman": correlation})  # fmt: skip
    return pd.DataFrame(rows)
