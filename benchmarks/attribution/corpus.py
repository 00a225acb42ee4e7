"""The documents of one seed, as batches that can be read again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.attribution.settings import Settings

from semprune.attribution.fit.learner import LearnerShape
from semprune.backbones import Backbone
from semprune.concepts import TokenLabeller, load_concepts
from semprune.concepts.concept import Concept
from semprune.data import DocumentDataModule
from semprune.types import DocumentBatch


@dataclass(frozen=True)
class Corpus:
    """Documents of one seed.

    Attributes:
        fit: Batches to fit on.
        held_out: Batches of documents that no seed fits on.
        classes: Names of the sequence-level concepts.
        datasets: Names of the data sets.
        longest: Tokens of the longest text.
        vocabulary: Number of token ids.
    """

    fit: list[DocumentBatch]
    held_out: list[DocumentBatch]
    classes: tuple[str, ...]
    datasets: tuple[str, ...]
    longest: int
    vocabulary: int

    def shape(self, concepts: Sequence[Concept]) -> LearnerShape:
        """Shape of a learner of these concepts."""
        names = tuple(concept.name for concept in concepts)
        return LearnerShape(names, self.classes, self.datasets, self.longest, self.vocabulary)

    @property
    def tokens(self) -> int:
        """Tokens that are fitted on."""
        return sum(int(batch.attention_mask.sum()) for batch in self.fit)


def read_corpus(lm: Backbone, settings: Settings, seed: int) -> Corpus:
    """Draw a seed's documents; which ones are held out does not depend on it."""
    data = DocumentDataModule(
        list(settings.datasets), settings.limit, settings.max_length, settings.batch_size, seed=seed
    )
    data.bind(lm).prepare_data()
    data.setup()
    vocabulary = lm.model.get_input_embeddings().num_embeddings
    fit, held_out = (
        [data.transfer_batch_to_device(batch, lm.device, 0) for batch in batches]
        for batches in (data.train_dataloader(), data.val_dataloader())
    )
    return Corpus(
        fit, held_out, tuple(data.classes), tuple(data.datasets),
        settings.max_length, vocabulary,
    )  # fmt: skip


def concepts_of(settings: Settings) -> tuple[Concept, ...]:
    """The token-level concepts."""
    return load_concepts(settings.concepts)


def labeller_of(lm: Backbone, concepts: Sequence[Concept]) -> TokenLabeller:
    """Labels of these concepts."""
    return TokenLabeller(concepts, lm.tokenizer).to(lm.device)
