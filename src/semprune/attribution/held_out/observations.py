"""What every ranking of neurons is made from: the same documents, streamed as observations of both levels."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from semprune.attribution.fit.closed_form import Batches
from semprune.attribution.fit.learner import (
    AttributionLearner,
    LabelledBatch,
    Labeller,
    LearnerShape,
    forward_sites,
    pooled,
)
from semprune.attribution.fit.preparation import prepare
from semprune.attribution.held_out.sums import LEVELS
from semprune.backbones import Backbone
from semprune.types import NeuronSite

Take = Callable[[slice, Float[Tensor, "n neurons"], Int[Tensor, "n concepts"]], None]
"""Takes the rows of a site's neurons, their values at the observations, and the labels (-1: unknown)."""
ConceptObjective = Callable[[Float[Tensor, "documents tokens vocabulary"], LabelledBatch], Float[Tensor, " concepts"]]
"""A differentiable output for every token-level concept, from the logits of a batch; summed over what is observed."""


def next_token_log_probability(
    logits: Float[Tensor, "documents tokens vocabulary"], labelled: LabelledBatch
) -> Float[Tensor, " concepts"]:
    """Log-probability of the tokens that carry each concept, at the positions before them; summed over the batch."""
    following = labelled.batch.input_ids[:, 1:, None]
    log_probability = logits[:, :-1].float().log_softmax(-1).gather(-1, following)  # [documents, tokens - 1, 1]
    carried = labelled.labels[:, 1:] & labelled.valid[:, 1:, None]
    return (log_probability * carried).sum((0, 1))


@dataclass(frozen=True)
class Observations:
    """Documents that can be read again, with the learner whose standardisation and labels apply.

    Attributes:
        lm: The frozen model.
        learner: Prepared, at least: its standardisation and counts are used.
        labeller: Labels tokens.
        batches: Gives the documents' batches; can be called again.
        objective: What gradient methods differentiate.
    """

    lm: Backbone
    learner: AttributionLearner
    labeller: Labeller
    batches: Batches
    objective: ConceptObjective = next_token_log_probability

    @classmethod
    def prepared(
        cls,
        lm: Backbone,
        labeller: Labeller,
        shape: LearnerShape,
        batches: Batches,
        sites: tuple[NeuronSite, ...],
        sample_tokens: int = 4096,
    ) -> Observations:
        """Documents with a learner that counts and standardises, and has learned nothing.

        Raises:
            ConceptWithoutEvidenceError: A concept or class does not vary over the documents.
            ConfigurationError: There is no document.
        """
        learner = AttributionLearner(shape, sites, ridge=1e-4, decoder_neurons=1).to(lm.device)
        prepare(learner, lm, labeller, batches, sample_tokens)
        return cls(lm, learner, labeller, batches)

    @property
    def concepts(self) -> int:
        """Number of columns of a ranking: token level, then sequence level."""
        return len(self.learner.shape.concepts) + len(self.learner.shape.classes)

    def labelled(self) -> Iterator[LabelledBatch]:
        """The batches with labels and regressors; no forward yet."""
        for batch in self.batches():
            yield self.learner.labelled(batch, self.labeller)

    def columns(self, level: str) -> slice:
        """Columns of one level in a ranking."""
        tokens = len(self.learner.shape.concepts)
        return slice(0, tokens) if level == "token" else slice(tokens, self.concepts)

    def stream(self, take: dict[str, Take], *, standardised: bool = False) -> None:
        """One forward over all documents.

        Args:
            take: By level, what is given every site's values: at the tokens that count, or pooled over them.
            standardised: Whether values are standardised and clipped (equations.md S1) or the model's own.
        """
        for labelled in self.labelled():
            targets = {"token": labelled.targets, "sequence": self.learner.sequence_design.targets(labelled.batch)}

            def consume(
                site: NeuronSite,
                activations: Tensor,
                labelled: LabelledBatch = labelled,
                targets: dict[str, Tensor] = targets,
            ) -> None:
                where = self.learner.standardiser.index.where(site)
                if standardised:
                    values = self.learner.standardised(site, activations, labelled)
                else:
                    values = activations.float() * labelled.valid[..., None]
                if "token" in take:
                    take["token"](where, values.flatten(0, 1), targets["token"])
                if "sequence" in take:
                    take["sequence"](where, pooled(values, labelled.valid), targets["sequence"])

            forward_sites(self.lm, self.learner.sites, labelled.batch, consume)

    def used_levels(self) -> tuple[str, ...]:
        """Levels that have concepts."""
        return tuple(level for level in LEVELS if self.columns(level).start < self.columns(level).stop)


class Moments:
    """Streaming first and second moments of every neuron, where a concept is there and wherever it is known.

    Attributes:
        present: Number of observations with each concept.
        known: Number of observations where it is known.
        sum_present: `Σ h` over the former.
        sum_known: `Σ h` over the latter; ``square_known`` is `Σ h²`.
    """

    def __init__(self, neurons: int, concepts: int, device: torch.device) -> None:
        """Start without observations."""
        self.present, self.known = (torch.zeros(concepts, dtype=torch.float64, device=device) for _ in range(2))
        self.sum_present, self.sum_known, self.square_known = (
            torch.zeros(neurons, concepts, dtype=torch.float64, device=device) for _ in range(3)
        )

    def take(self, where: slice, values: Float[Tensor, "n neurons"], targets: Int[Tensor, "n concepts"]) -> None:
        """Add one site's observations of a batch; labels are counted with the first site."""
        present, known = (targets == 1).float(), (targets >= 0).float()
        self.sum_present[where].add_(values.T @ present)
        self.sum_known[where].add_(values.T @ known)
        self.square_known[where].add_(values.square().T @ known)
        if where.start == 0:
            self.present += present.sum(0)
            self.known += known.sum(0)

    @property
    def mean_present(self) -> Float[Tensor, "neurons concepts"]:
        """Mean where the concept is there."""
        return self.sum_present / self.present

    @property
    def difference(self) -> Float[Tensor, "neurons concepts"]:
        """Mean where the concept is there, less the mean where it is known to be absent."""
        absent = (self.sum_known - self.sum_present) / (self.known - self.present)
        return self.mean_present - absent

    @property
    def deviation(self) -> Float[Tensor, "neurons concepts"]:
        """Standard deviation over all observations where the concept is known."""
        mean = self.sum_known / self.known
        return (self.square_known / self.known - mean.square()).clamp(min=0).sqrt()


def moments(observations: Observations, *, transform: Callable[[Tensor], Tensor] | None = None) -> dict[str, Moments]:
    """Moments of both levels, in one forward over the documents.

    Args:
        observations: The documents.
        transform: Applied to the values first, for example an indicator.
    """
    learner = observations.learner
    out: dict[str, Moments] = {}
    for level in observations.used_levels():
        columns = observations.columns(level)
        out[level] = Moments(learner.neurons, columns.stop - columns.start, learner.standardiser.median.device)

    def through(level: str) -> Take:
        def take(where: slice, values: Tensor, targets: Tensor) -> None:
            out[level].take(where, values if transform is None else transform(values), targets)

        return take

    observations.stream({level: through(level) for level in out})
    return out
