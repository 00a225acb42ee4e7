"""Specificity of causal effects (equations.md S7): does ablating one concept's neurons spare the others' words?"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float, Int
from torch import Tensor

from semprune.attribution.ablation.concept_logprob import ConceptLogprobs, concept_logprobs
from semprune.attribution.ablation.neuron_sets import matched_random, mean_replacements, top_neurons
from semprune.attribution.association.association import Association
from semprune.attribution.association.score import DEFAULT_RANKING
from semprune.attribution.fit.learner import Labeller
from semprune.backbones import Backbone, ablate
from semprune.errors import ConfigurationError
from semprune.ranges import checked
from semprune.statistics.bootstrap import Statistic
from semprune.statistics.estimate import beyond_draws, jackknifed
from semprune.types import Count, Seed, Share


@checked
def causal_specificity(
    lm: Backbone,
    association: Association,
    concepts: Sequence[str],
    labels: Labeller,
    text: Int[Tensor, "sequences tokens"],
    *,
    share: Share = 0.01,
    draws: Count = 2,
    seed: Seed = 0,
    by: str = DEFAULT_RANKING,
    progress: Callable[[str], None] = lambda _: None,
) -> pd.DataFrame:
    r"""Ablate each concept's top neurons in turn and measure the words of all.

    .. math:: CE_{cc'} = \overline{\log p}_{c'}(\text{matched random}) - \overline{\log p}_{c'}(\text{top } k
              \text{ of } c), \qquad \text{specificity}_c = CE_{cc} - \operatorname{mean}_{c' \ne c} CE_{cc'}

    Positive effects are harm, in nats per word, beyond what matched random neurons do. A concept whose words do not
    occur in the text has no effect (NaN) and is left out of the mean.

    Source: equations.md S7.

    Args:
        lm: The dense backbone.
        association: Fitted on other text.
        concepts: Two or more columns with words, in the order of the labels.
        labels: Which of the concepts each token carries.
        text: Held-out sequences.
        share: Share of all neurons to ablate.
        draws: Draws of matched random neurons; their mean is the control. With one draw there are no intervals.
        seed: Seed of the draws.
        by: Ranking of the association.
        progress: Told the name of each concept before it runs.

    Returns:
        Columns ablated, measured, k, effect, low, high, p, n_tokens; one row per pair, then one per ablated concept
        with ``measured`` = ``specificity``. Intervals are 95 %, by the jackknife over sequences or
        by how draws differ, whichever is wider, with Student's t.

    Raises:
        ConfigurationError: Fewer than two concepts, or too few discoveries.
        UnknownConceptError: The association does not hold a concept.
        BackboneMismatchError: The association is another backbone's.
    """
    association.require(lm.fingerprint)
    if len(concepts) < 2:
        raise ConfigurationError("specificity compares concepts: name two or more that have words.")
    k = max(1, int(share * len(association.rms)))
    chosen = {name: top_neurons(association, [name], k, by) for name in concepts}
    rows: list[dict[str, object]] = []
    for place, (name, own) in enumerate(chosen.items()):
        progress(name)
        generator = torch.Generator().manual_seed(seed)
        top = _read(lm, association, own, labels, text)
        random = [
            _read(lm, association, matched_random(association, own, generator), labels, text) for _ in range(draws)
        ]
        common = {"ablated": name, "k": k}
        rows.extend(common | row for row in _concept_rows(top, random, concepts, place))
    return pd.DataFrame(rows)


def _concept_rows(
    top: ConceptLogprobs, random: Sequence[ConceptLogprobs], concepts: Sequence[str], place: int
) -> Iterator[dict[str, object]]:
    """Effects of one concept's neurons on the words of every concept, then their specificity."""
    tokens = top.counts.sum(0).astype(int).tolist()
    units = [str(index) for index in range(len(top.counts))]
    for c, measured in enumerate(concepts):
        effect = partial(_effect, top, concept=c)
        yield {"measured": measured} | _row(effect, random, units) | {"n_tokens": tokens[c]}
    specificity = partial(_specificity, top, concepts=len(concepts), place=place)
    yield {"measured": "specificity"} | _row(specificity, random, units) | {"n_tokens": tokens[place]}


def _read(lm: Backbone, association: Association, rows: Tensor, labels: Labeller, text: Tensor) -> ConceptLogprobs:
    with ablate(lm.model, mean_replacements(association, rows)):
        return concept_logprobs(lm, labels, text)


def _effect(top: ConceptLogprobs, random: Sequence[ConceptLogprobs], concept: int) -> Statistic:
    controls, own = [each.mean(concept) for each in random], top.mean(concept)
    return lambda weights: np.mean([control(weights) for control in controls], axis=0) - own(weights)


def _specificity(top: ConceptLogprobs, random: Sequence[ConceptLogprobs], concepts: int, place: int) -> Statistic:
    effects = [_effect(top, random, c) for c in range(concepts)]

    def statistic(weights: Float[np.ndarray, "resamples sequences"]) -> Float[np.ndarray, " resamples"]:
        others = np.stack([effect(weights) for c, effect in enumerate(effects) if c != place])
        known = ~np.isnan(others)
        count = known.sum(0)
        total = np.where(known, others, 0).sum(0)
        mean = np.divide(total, count, out=np.full(count.shape, np.nan), where=count > 0)
        out: np.ndarray = effects[place](weights) - mean
        return out

    return statistic


def _row(
    against: Callable[[Sequence[ConceptLogprobs]], Statistic], random: Sequence[ConceptLogprobs], units: Sequence[str]
) -> dict[str, object]:
    """An effect against the mean of random draws; its error is over sequences or over draws."""
    once = np.ones((1, len(units)))
    found = beyond_draws(jackknifed(against(random), units), [float(against([draw])(once)[0]) for draw in random])
    low, high = found.interval
    return {"effect": found.value, "low": low, "high": high, "p": found.p}
