"""The learned attribution as a plain module: what is computed from a batch; *when* is the LightningModule's."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from semprune.attribution.fit.batch_statistics import BatchStatistics, LevelStatistics
from semprune.attribution.fit.decoder import Decoder, Selection
from semprune.attribution.fit.design import SequenceDesign, TokenDesign, valid_tokens
from semprune.attribution.fit.encoder import Encoder
from semprune.attribution.standardisation.standardise import Standardiser
from semprune.backbones import Backbone, capture
from semprune.backbones.hardware import full_fp32, multiplies_bfloat16
from semprune.data.modules.contract import document_batch_of
from semprune.errors import ConfigurationError, NonFiniteError
from semprune.types import DocumentBatch, NeuronSite

Labeller = Callable[[Tensor, Tensor], Bool[Tensor, "documents tokens concepts"]]
"""Labels of a batch from its token ids and attention mask; :class:`semprune.concepts.TokenLabeller` is one."""


@dataclass(frozen=True)
class LearnerShape:
    """Everything that fixes the learner's tensors; plain values, stored in checkpoints.

    Attributes:
        concepts: Names of the token-level concepts.
        classes: Names of the sequence-level concepts, ``dataset.class``.
        datasets: Names of the fitting data sets.
        longest: Longest document in tokens.
        vocabulary: Size of the token vocabulary.

    Raises:
        ConfigurationError: A concept is called like a class, or like another one.
    """

    concepts: tuple[str, ...]
    classes: tuple[str, ...]
    datasets: tuple[str, ...]
    longest: int
    vocabulary: int

    def __post_init__(self) -> None:
        """Refuse names that stand for two columns of the association."""
        columns = Counter([*self.concepts, *self.classes])
        if twice := [name for name, count in columns.items() if count > 1]:
            raise ConfigurationError(
                f"two concepts are called {twice[0]}: a class of a fitting data set has the name `data set.class`, and "
                "a concept of your own that of its file. Rename the file, and `name` in it."
            )


@dataclass(slots=True)
class LabelledBatch:
    """One batch prepared for a forward; padding and first positions stay in place, with rows of 0.

    Attributes:
        batch: The documents.
        labels: Which concepts each token carries.
        valid: Which tokens count.
        token: Regressors of every token, 0 where it does not count.
        sequence: Regressors of every document.
    """

    batch: DocumentBatch
    labels: Bool[Tensor, "documents tokens concepts"]
    valid: Bool[Tensor, "documents tokens"]
    token: Float[Tensor, "documents tokens regressors"]
    sequence: Float[Tensor, "documents regressors"]

    @property
    def rows(self) -> Float[Tensor, "n regressors"]:
        """The tokens' regressors, one row per place in the batch."""
        return self.token.flatten(0, 1)

    @property
    def targets(self) -> Int[Tensor, "n concepts"]:
        """1 where a place's token carries the concept, 0 where it does not, -1 where it does not count."""
        return self.labels.long().masked_fill(~self.valid[..., None], -1).flatten(0, 1)

    @property
    def tokens(self) -> Int[Tensor, ""]:
        """Number of tokens that count."""
        return self.valid.sum()

    @property
    def cluster(self) -> Int[Tensor, " documents"]:
        """Number of each row's document within the batch, from 0."""
        place: Tensor = torch.unique(self.batch.cluster, return_inverse=True)[1]
        return place


class AttributionLearner(nn.Module):
    """Standardisation, designs, encoders and decoders over all neuron sites of one backbone.

    Attributes:
        stage: 0 while the sums stream, 1 once they are solved and the variances stream, 2 once these are finished.
    """

    stage: Tensor

    def __init__(self, shape: LearnerShape, sites: tuple[NeuronSite, ...], ridge: float, decoder_neurons: int) -> None:
        """Allocate for these concepts and sites."""
        super().__init__()
        self.shape = shape
        self.sites = sites
        self.standardiser = Standardiser(sites)
        self.neurons = len(self.standardiser.index)
        self.token_design = TokenDesign(shape.concepts, len(shape.datasets), shape.vocabulary, shape.longest)
        self.sequence_design = SequenceDesign(shape.classes, shape.datasets)
        self.token = Encoder(self.token_design.width, self.neurons, len(shape.concepts), ridge)
        self.sequence = Encoder(self.sequence_design.width, self.neurons, len(shape.classes), ridge)
        self.register_buffer("stage", torch.zeros((), dtype=torch.long))
        k = min(decoder_neurons, self.neurons)
        self.token_decoder = Decoder(len(shape.concepts), k)
        self.sequence_decoder = Decoder(len(shape.classes), k)

    def labelled(self, batch: DocumentBatch, labeller: Labeller) -> LabelledBatch:
        """Label a batch and build its regressors.

        Raises:
            DataContractError: It is no batch of documents.
        """
        batch = document_batch_of(batch)
        labels = labeller(batch.input_ids, batch.attention_mask)
        valid = valid_tokens(batch)
        token = self.token_design(batch, labels) * valid[..., None]
        return LabelledBatch(batch, labels, valid, token, self.sequence_design(batch))

    def standardised(
        self, site: NeuronSite, activations: Float[Tensor, "documents tokens neurons"], labelled: LabelledBatch
    ) -> Float[Tensor, "documents tokens neurons"]:
        """Standardised activations of one site, 0 at tokens that do not count."""
        return self.standardiser.take(site, activations, labelled.valid).z

    def accumulate(self, lm: Backbone, labelled: LabelledBatch) -> None:
        """One forward of the frozen model, added to the sufficient statistics of both levels."""
        self.token.add_gram(labelled.rows, labelled.tokens)
        self.sequence.add_gram(labelled.sequence, len(labelled.sequence))
        self.standardiser.tokens += labelled.tokens

        def add(site: NeuronSite, activations: Tensor) -> None:
            where = self.standardiser.index.where(site)
            own = self.standardiser.take(site, activations, labelled.valid, moments=True, brief=True)
            with full_fp32(torch.float32):  # regressors that AMX rounded would not be those of the Gram matrix
                self.token.add_targets(where, labelled.rows, own.z.flatten(0, 1), own.energy)
                if self.shape.classes:
                    self.sequence.add_targets(where, labelled.sequence, pooled(own.z, labelled.valid))

        forward_sites(lm, self.sites, labelled.batch, add)

    def finish_sums(self) -> None:
        """Sum over ranks, solve both levels, and choose the decoders' neurons.

        Raises:
            NonFiniteError: Some activation was NaN or infinite.
        """
        self.standardiser.finish()
        for site in self.sites:
            if not torch.isfinite(self.standardiser.squares[self.standardiser.index.where(site)]).all():
                raise NonFiniteError(f"activations of {site.name}")
        self.token.finish_sums()
        self.sequence.finish_sums()
        self.stage.fill_(1)
        self.token_decoder.start(self.token.iid_t, self.token.effect, self.token_design.prevalence)
        self.sequence_decoder.start(self.sequence.iid_t, self.sequence.effect, self.sequence_design.prevalence)

    def finish_variance(self) -> None:
        """Sum the clustered variances over ranks."""
        self.token.finish_variance()
        self.sequence.finish_variance()
        self.stage.fill_(2)

    def batch_statistics(self, lm: Backbone, labelled: LabelledBatch, *, variance: bool) -> BatchStatistics:
        """One forward of the frozen model for a learning step.

        Args:
            lm: The frozen model.
            labelled: The prepared batch.
            variance: Whether to add the batch to the clustered variance (once per document).

        Returns:
            The batch's sums and the decoders' inputs.
        """
        influence = sequence_influence = None
        if variance:
            narrow = lm.dtype if lm.dtype == torch.bfloat16 and multiplies_bfloat16(lm.device) else torch.float32
            influence = self.token.begin_variance(labelled.token, labelled.cluster, narrow)
            sequence_influence = self.sequence.begin_variance(labelled.sequence[:, None], labelled.cluster)
        documents = torch.tensor(len(labelled.sequence), device=labelled.valid.device)
        statistics = BatchStatistics(
            LevelStatistics.begin(self.token, self.token_decoder, labelled.token, labelled.tokens, influence),
            LevelStatistics.begin(
                self.sequence, self.sequence_decoder, labelled.sequence[:, None], documents, sequence_influence
            ),
        )

        def add(site: NeuronSite, activations: Tensor) -> None:
            where = self.standardiser.index.where(site)
            own = self.standardiser.take(site, activations, labelled.valid, brief=True)
            with full_fp32(torch.float32):  # regressors that AMX rounded would not be those of the Gram matrix
                statistics.token.add(where, own.z, own.energy)
                if self.shape.classes:
                    statistics.sequence.add(where, pooled(own.z, labelled.valid)[:, None])

        forward_sites(lm, self.sites, labelled.batch, add)
        return statistics

    def decoder_inputs(self, lm: Backbone, labelled: LabelledBatch) -> tuple[Selection, Selection]:
        """One forward that takes only the decoders' neurons, at both levels."""
        token = Selection(self.token_decoder, labelled.valid.numel(), labelled.valid.device)
        sequence = Selection(self.sequence_decoder, len(labelled.valid), labelled.valid.device)

        def take(site: NeuronSite, activations: Tensor) -> None:
            where = self.standardiser.index.where(site)
            for selection in (token, sequence):
                z = self.standardiser.columns(site, activations, selection.wanted(where))
                selection.take(where, z.flatten(0, 1) if selection is token else pooled(z, labelled.valid))

        forward_sites(lm, self.sites, labelled.batch, take)
        return token, sequence


def pooled(
    z: Float[Tensor, "documents tokens neurons"], valid: Bool[Tensor, "documents tokens"]
) -> Float[Tensor, "documents neurons"]:
    """Mean over each document's valid tokens: sequence labels are used at pooled observations only (equations.md S1).

    Example:
        >>> pooled(torch.tensor([[[1.0], [3.0], [9.0]]]), torch.tensor([[True, True, False]])).item()
        2.0
    """
    weight = valid.to(z.dtype)
    weight = weight / weight.sum(1, keepdim=True).clamp(min=1)
    return torch.bmm(weight[:, None], z)[:, 0]


def forward_sites(
    lm: Backbone, sites: tuple[NeuronSite, ...], batch: DocumentBatch, consume: Callable[[NeuronSite, Tensor], None]
) -> None:
    """Run the frozen body (no logits) and hand each site's activations to ``consume`` as they come."""
    if len(batch.input_ids) == 0:  # this rank's share of a small global batch
        return
    with torch.no_grad(), capture(lm.model, sites, consume):
        lm.model.base_model(input_ids=batch.input_ids, attention_mask=batch.attention_mask, use_cache=False)
