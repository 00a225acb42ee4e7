"""The learned attribution as a plain module: what is computed from a batch; *when* is the LightningModule's."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from semprune.attribution.decoder import Decoder, Selection
from semprune.attribution.design import SequenceDesign, TokenDesign, valid_tokens
from semprune.attribution.encoder import Encoder
from semprune.attribution.encoding import EncodingSums
from semprune.attribution.standardise import Standardiser
from semprune.backbones import Backbone, capture
from semprune.concepts import TokenLabeller
from semprune.types import DocumentBatch, NeuronSite


@dataclass(frozen=True)
class LearnerShape:
    """Everything that fixes the learner's tensors; plain values, stored in checkpoints.

    Attributes:
        concepts: Names of the token-level concepts.
        classes: Names of the sequence-level concepts, ``dataset.class``.
        datasets: Names of the fitting data sets.
        longest: Longest document in tokens.
        vocabulary: Size of the token vocabulary.
    """

    concepts: tuple[str, ...]
    classes: tuple[str, ...]
    datasets: tuple[str, ...]
    longest: int
    vocabulary: int


@dataclass(slots=True)
class Observed:
    """One batch prepared for a forward.

    Attributes:
        batch: The documents.
        labels: Which concepts each token carries.
        valid: Which tokens count.
        token: Regressors of every token.
        flat: Regressors of the valid tokens only.
        sequence: Regressors of every document.
    """

    batch: DocumentBatch
    labels: Bool[Tensor, "documents tokens concepts"]
    valid: Bool[Tensor, "documents tokens"]
    token: Float[Tensor, "documents tokens regressors"]
    flat: Float[Tensor, "n regressors"]
    sequence: Float[Tensor, "documents regressors"]


@dataclass(slots=True)
class Studied:
    """What a learning step needs of a batch: its sums and the decoders' inputs, at both levels."""

    token: EncodingSums
    sequence: EncodingSums
    token_selection: Selection
    sequence_selection: Selection


class AttributionLearner(nn.Module):
    """Standardisation, designs, encoders and decoders over all neuron sites of one backbone."""

    def __init__(self, shape: LearnerShape, sites: tuple[NeuronSite, ...], ridge: float, decoder_neurons: int) -> None:
        """Allocate for these concepts and sites."""
        super().__init__()
        self.shape = shape
        self.sites = sites
        self.neurons = sum(site.width for site in sites)
        self.standardiser = Standardiser(sites)
        self.token_design = TokenDesign(shape.concepts, len(shape.datasets), shape.vocabulary, shape.longest)
        self.sequence_design = SequenceDesign(shape.classes, shape.datasets)
        self.token = Encoder(self.token_design.width, self.neurons, len(shape.concepts), ridge)
        self.sequence = Encoder(self.sequence_design.width, self.neurons, len(shape.classes), ridge)
        k = min(decoder_neurons, self.neurons)
        self.token_decoder = Decoder(len(shape.concepts), k)
        self.sequence_decoder = Decoder(len(shape.classes), k)

    def observe(self, batch: DocumentBatch, labeller: TokenLabeller) -> Observed:
        """Label a batch and build its regressors."""
        labels = labeller(batch.input_ids, batch.attention_mask)
        valid = valid_tokens(batch)
        token = self.token_design(batch, labels)
        return Observed(batch, labels, valid, token, token[valid], self.sequence_design(batch))

    def accumulate(self, lm: Backbone, seen: Observed) -> None:
        """One forward of the frozen model, added to the sufficient statistics of both levels."""
        self.token.add_gram(seen.flat)
        self.sequence.add_gram(seen.sequence)
        self.standardiser.tokens += seen.valid.sum()

        def add(site: NeuronSite, activations: Tensor) -> None:
            raw = activations.float()
            self.standardiser.observe(site, raw[seen.valid])
            where, z = self.standardiser.slices[site.name], self.standardiser(site, raw)
            self.token.add_targets(where, seen.flat, z[seen.valid])
            self.sequence.add_targets(where, seen.sequence, pooled(z, seen.valid))

        forward_sites(lm, self.sites, seen.batch, add)

    def finish_sums(self) -> None:
        """Sum over ranks, solve both levels, and choose the decoders' neurons."""
        self.standardiser.finish()
        self.token.finish_sums()
        self.sequence.finish_sums()
        self.token_decoder.start(self.token.iid_t, self.token.effect, self.token_design.prevalence)
        self.sequence_decoder.start(self.sequence.iid_t, self.sequence.effect, self.sequence_design.prevalence)

    def study(self, lm: Backbone, seen: Observed, *, variance: bool) -> Studied:
        """One forward of the frozen model for a learning step.

        Args:
            lm: The frozen model.
            seen: The prepared batch.
            variance: Whether to add the batch to the clustered variance (once per document).

        Returns:
            The batch's sums and the decoders' inputs.
        """
        studied = Studied(
            self._empty_sums(seen.flat),
            self._empty_sums(seen.sequence),
            Selection(self.token_decoder, len(seen.flat), seen.valid.device),
            Selection(self.sequence_decoder, len(seen.valid), seen.valid.device),
        )
        influence = self.token.influence(seen.token) * seen.valid[..., None]
        sequence_influence = self.sequence.influence(seen.sequence)[:, None]

        def add(site: NeuronSite, activations: Tensor) -> None:
            where, z = self.standardiser.slices[site.name], self.standardiser(site, activations.float())
            flat, mean = z[seen.valid], pooled(z, seen.valid)
            studied.token.cross[:, where], studied.token.squares[where] = seen.flat.T @ flat, flat.square().sum(0)
            studied.sequence.cross[:, where] = seen.sequence.T @ mean
            studied.sequence.squares[where] = mean.square().sum(0)
            studied.token_selection.take(where, flat)
            studied.sequence_selection.take(where, mean)
            if variance:
                self.token.add_variance(where, influence, seen.token, z)
                self.sequence.add_variance(where, sequence_influence, seen.sequence[:, None], mean[:, None])

        forward_sites(lm, self.sites, seen.batch, add)
        return studied

    def _empty_sums(self, regressors: Float[Tensor, "n regressors"]) -> EncodingSums:
        sums = EncodingSums.of(regressors, regressors[:, :0])
        sums.cross = regressors.new_zeros(regressors.shape[1], self.neurons)
        sums.squares = regressors.new_zeros(self.neurons)
        return sums

    def read(self, lm: Backbone, seen: Observed) -> tuple[Selection, Selection]:
        """One forward that takes only the decoders' neurons, at both levels."""
        token = Selection(self.token_decoder, len(seen.flat), seen.valid.device)
        sequence = Selection(self.sequence_decoder, len(seen.valid), seen.valid.device)

        def take(site: NeuronSite, activations: Tensor) -> None:
            where, z = self.standardiser.slices[site.name], self.standardiser(site, activations.float())
            token.take(where, z[seen.valid])
            sequence.take(where, pooled(z, seen.valid))

        forward_sites(lm, self.sites, seen.batch, take)
        return token, sequence


def pooled(
    z: Float[Tensor, "documents tokens neurons"], valid: Bool[Tensor, "documents tokens"]
) -> Float[Tensor, "documents neurons"]:
    """Mean over each document's valid tokens: sequence labels are used at pooled observations only (SCIENCE S1).

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
