"""What a causal check measures under one set of held neurons, and the weighted statistics of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from scipy.special import log_softmax
from torch import Tensor

from semprune.attribution.ablation.concept_logprob import ConceptLogprobs, concept_logprobs
from semprune.attribution.fit.learner import Labeller
from semprune.backbones import Backbone
from semprune.evaluation import perplexity, predict_items, token_fidelity
from semprune.evaluation.metrics import measure
from semprune.evaluation.perplexity import perplexity_of
from semprune.evaluation.predictions.prediction import against_others, choice_scores
from semprune.statistics.bootstrap import Statistic
from semprune.statistics.weighting import Array
from semprune.types import Item

GENERAL, DOMAIN = "general", "domain"
"""Names of the texts: of no domain, and of the task's own."""


@dataclass(frozen=True, slots=True)
class DenseReading:
    """A text, and what is kept of the dense model on it.

    Attributes:
        text: Sequences without padding.
        states: Of :func:`semprune.evaluation.dense_text`.
    """

    text: Int[Tensor, "sequences tokens"]
    states: Float[Tensor, "sequences positions d"]


class CausalRun:
    """Answers, losses and concept log-probabilities of a model as it is now."""

    def __init__(
        self,
        lm: Backbone,
        items: Sequence[Item],
        text: Int[Tensor, "sequences tokens"],
        labels: Labeller | None,
        token_budget: int,
        first: int = 1,
        dense: Mapping[str, DenseReading] | None = None,
        label: int | None = None,
    ) -> None:
        """Measure.

        Args:
            lm: The model, ablated or not.
            items: Of one data set.
            text: For the perplexity and the concept log-probability.
            labels: Words whose log-probability is measured; a token counts if it carries any of their concepts.
            token_budget: Padded tokens of a scoring batch.
            first: Position of the first token of ``text`` that the perplexity predicts.
            dense: The dense model's readings of ``text`` as :data:`GENERAL` and of further texts, where the divergence
                from it is measured too.
            label: The class that answers are told from all others by; None for all classes.

        Raises:
            NonFiniteError: The model gives NaN or infinite log-probabilities.
        """
        predictions = predict_items(lm, items, token_budget=token_budget)
        scored = choice_scores(predictions)
        self.scored = scored if label is None else against_others(scored, label)
        self.documents = predictions["document_id"].astype(str).tolist()
        self.nlls: dict[str, Array] = {}
        self.divergences: dict[str, Array] = {}
        for name, reading in (dense or {}).items():
            found = token_fidelity(lm.model, reading.text.to(lm.device), reading.states, first=first)
            self.nlls[name] = found.nll.double().numpy()
            self.divergences[name] = found.divergence.double().mean(1).numpy()
        if not dense:
            self.nlls[GENERAL] = perplexity(lm.model, text.to(lm.device), first=first)[1].double().numpy()
        self.nll = self.nlls[GENERAL]
        self.words: ConceptLogprobs | None = None
        if labels is not None:
            self.words = concept_logprobs(lm, lambda ids, mask: labels(ids, mask).any(-1, keepdim=True), text)

    @property
    def right_logprob(self) -> Float[np.ndarray, " items"]:
        """Log-probability of each item's right choice among its choices, nats."""
        normalised: np.ndarray = log_softmax(self.scored.scores, axis=1)
        return normalised[np.arange(len(normalised)), self.scored.labels]


def auroc(runs: Sequence[CausalRun]) -> Statistic:
    """AUROC of the label log-odds, mean over draws."""
    return lambda weights: np.mean([measure("auroc", run.scored, weights) for run in runs], axis=0)


def label_logprob(runs: Sequence[CausalRun]) -> Statistic:
    """Mean log-probability of the right choice, mean over draws."""
    return lambda weights: np.mean([weights @ run.right_logprob / weights.sum(-1) for run in runs], axis=0)


def text_divergence(name: str, runs: Sequence[CausalRun]) -> Statistic:
    """Divergence from the dense model in nats per token of a text, mean over draws."""
    return lambda weights: np.mean([weights @ run.divergences[name] / weights.sum(-1) for run in runs], axis=0)


def log_perplexity(name: str, runs: Sequence[CausalRun]) -> Statistic:
    """Mean negative log-likelihood of a text in nats per token, mean over draws."""
    return lambda weights: np.mean([weights @ run.nlls[name] / weights.sum(-1) for run in runs], axis=0)


def text_perplexity(runs: Sequence[CausalRun]) -> Statistic:
    """Perplexity, mean over draws."""
    return lambda weights: np.mean([perplexity_of(run.nll, weights) for run in runs], axis=0)


def concept_logprob(runs: Sequence[CausalRun]) -> Statistic:
    """Mean log-probability of the concept's words, mean over draws."""
    each = [run.words.mean(0) for run in runs if run.words is not None]
    return lambda weights: np.mean([statistic(weights) for statistic in each], axis=0)


def measured(dense: CausalRun) -> Iterator[tuple[str, Callable[[Sequence[CausalRun]], Statistic], list[str]]]:
    """Every metric: its name, its statistic, and the document of each of its units."""
    sequences = [str(index) for index in range(len(dense.nll))]
    yield "auroc", auroc, dense.documents
    yield "perplexity", text_perplexity, sequences
    yield "label_logprob", label_logprob, dense.documents
    if dense.words is not None:
        yield "concept_logprob", concept_logprob, sequences
