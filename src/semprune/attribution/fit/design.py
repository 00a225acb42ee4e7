"""Regressors of the encoding model (equations.md S2): standardised concept labels, then nuisances."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from semprune.errors import ConceptWithoutEvidenceError
from semprune.io.distributed import sum_over_ranks
from semprune.types import DocumentBatch


def standardised_label(label: Float[Tensor, "... c"], prevalence: Float[Tensor, " c"]) -> Float[Tensor, "... c"]:
    """`ŷ = (y − π) / √(π(1 − π))`: mean 0 and variance 1 over the observations.

    Example:
        >>> standardised_label(torch.tensor([1.0, 0.0]), torch.tensor(0.2)).tolist()
        [2.0, -0.5]
    """
    return (label - prevalence) / (prevalence * (1 - prevalence)).sqrt()


def valid_tokens(batch: DocumentBatch) -> Bool[Tensor, "documents tokens"]:
    """Tokens that count: not padding, not the first position (BOS and attention sink)."""
    valid = batch.attention_mask.bool().clone()
    valid[:, :1] = False
    return valid


class TokenDesign(nn.Module):
    """Regressors of a token: its concepts, any concept, 1, position, position², log frequency, data set.

    Counts are streamed once over the fitting documents (:meth:`observe`), then frozen (:meth:`freeze`).
    """

    positives: Tensor
    any_positives: Tensor
    tokens: Tensor
    frequency: Tensor
    by_dataset: Tensor

    def __init__(self, concepts: tuple[str, ...], datasets: int, vocabulary: int, longest: int) -> None:
        """Allocate counts for these concepts, data sets and vocabulary entries; ``longest`` scales the position."""
        super().__init__()
        self.concepts = concepts
        self.longest = longest
        for name, shape in (
            ("positives", len(concepts)),
            ("any_positives", 1),
            ("tokens", 1),
            ("frequency", vocabulary),
            ("by_dataset", datasets),
        ):
            self.register_buffer(name, torch.zeros(shape, dtype=torch.float64))

    @property
    def width(self) -> int:
        """Number of regressors."""
        return len(self.concepts) + 5 + max(len(self.by_dataset) - 1, 0)

    def count(self, batch: DocumentBatch, labels: Bool[Tensor, "documents tokens concepts"]) -> None:
        """Count concepts, tokens and data sets over the batch's valid tokens."""
        valid = valid_tokens(batch)
        self.positives += labels[valid].double().sum(0)
        self.any_positives += labels[valid].any(-1).double().sum()
        self.tokens += valid.sum()
        self.frequency += torch.bincount(batch.input_ids[valid], minlength=len(self.frequency)).double()
        self.by_dataset.index_add_(0, batch.dataset, valid.double().sum(1))

    def freeze(self) -> None:
        """Sum the counts over ranks.

        Raises:
            ConceptWithoutEvidenceError: A concept occurs at no token, or at all of them.
        """
        sum_over_ranks(self.positives, self.any_positives, self.tokens, self.frequency, self.by_dataset)
        constant = (self.positives == 0) | (self.positives == self.tokens)
        if constant.any():
            without = [name for name, is_constant in zip(self.concepts, constant.tolist(), strict=True) if is_constant]
            raise ConceptWithoutEvidenceError(without, int(self.tokens))

    @property
    def prevalence(self) -> Float[Tensor, " concepts"]:
        """Share of tokens that carry each concept."""
        return (self.positives / self.tokens).float()

    def _log_frequency(self, input_ids: Int[Tensor, "..."]) -> Float[Tensor, "..."]:
        log = torch.log((self.frequency + 1) / (self.tokens + len(self.frequency)))
        weight = self.frequency / self.tokens
        mean = (weight * log).sum()
        spread = (weight * (log - mean) ** 2).sum().sqrt().clamp(min=1e-6)
        return ((log[input_ids] - mean) / spread).float()

    def forward(
        self, batch: DocumentBatch, labels: Bool[Tensor, "documents tokens concepts"]
    ) -> Float[Tensor, "documents tokens regressors"]:
        """Regressors of every token (rows of invalid tokens are not meaningful)."""
        documents, tokens, _ = labels.shape
        concept = standardised_label(labels.float(), self.prevalence)
        any_share = (self.any_positives / self.tokens).float().clamp(1e-6, 1 - 1e-6)
        any_concept = standardised_label(labels.any(-1, keepdim=True).float(), any_share)
        any_concept *= len(self.concepts) > 1  # of a single concept it would be a copy, and take half of its effect
        place = torch.linspace(0, (tokens - 1) / self.longest, tokens, device=labels.device) - 0.5
        place = place[None, :, None].expand(documents, -1, -1)
        log_frequency = self._log_frequency(batch.input_ids)[..., None]
        share = (self.by_dataset / self.tokens).float()
        dataset = nn.functional.one_hot(batch.dataset, len(share)).float() - share
        dataset = dataset[:, None, 1:].expand(-1, tokens, -1)
        ones = torch.ones_like(place)
        return torch.cat([concept, any_concept, ones, place, place**2, log_frequency, dataset], dim=-1)


class SequenceDesign(nn.Module):
    """Regressors of a whole document: its class within its data set, 1, log length, data set."""

    positives: Tensor
    labelled: Tensor
    by_dataset: Tensor
    log_length: Tensor

    def __init__(self, classes: tuple[str, ...], datasets: tuple[str, ...]) -> None:
        """Allocate counts; class ``reviews.positive`` belongs to data set ``reviews``."""
        super().__init__()
        self.concepts = classes
        self.register_buffer("owner", torch.tensor([datasets.index(c.rsplit(".", 1)[0]) for c in classes]).long())
        for name, shape in (
            ("positives", len(classes)),
            ("labelled", len(datasets)),
            ("by_dataset", len(datasets)),
            ("log_length", 2),
        ):
            self.register_buffer(name, torch.zeros(shape, dtype=torch.float64))

    owner: Tensor

    @property
    def width(self) -> int:
        """Number of regressors."""
        return len(self.concepts) + 2 + max(len(self.by_dataset) - 1, 0)

    def count(self, batch: DocumentBatch) -> None:
        """Count classes, data sets and lengths over the batch's documents."""
        length = valid_tokens(batch).sum(1).clamp(min=1).double().log()
        labelled = batch.label >= 0
        self.positives += torch.bincount(batch.label[labelled], minlength=len(self.positives)).double()
        self.labelled += torch.bincount(batch.dataset[labelled], minlength=len(self.labelled)).double()
        self.by_dataset += torch.bincount(batch.dataset, minlength=len(self.by_dataset)).double()
        self.log_length += torch.stack([length.sum(), length.square().sum()])

    def freeze(self) -> None:
        """Sum the counts over ranks.

        Raises:
            ConceptWithoutEvidenceError: A class has no document, or all documents of its data set.
        """
        sum_over_ranks(self.positives, self.labelled, self.by_dataset, self.log_length)
        constant = (self.positives == 0) | (self.positives == self.labelled[self.owner])
        if constant.any():
            without = [name for name, is_constant in zip(self.concepts, constant.tolist(), strict=True) if is_constant]
            raise ConceptWithoutEvidenceError(without, int(self.by_dataset.sum()))

    @property
    def prevalence(self) -> Float[Tensor, " classes"]:
        """Share of each class among the labelled documents of its data set."""
        return (self.positives / self.labelled[self.owner]).float()

    def targets(self, batch: DocumentBatch) -> Int[Tensor, "documents classes"]:
        """1 where the document has the class, 0 where it has another one, -1 where it has none to have."""
        own = (batch.dataset[:, None] == self.owner) & (batch.label[:, None] >= 0)
        hit = batch.label[:, None] == torch.arange(len(self.concepts), device=batch.label.device)
        return torch.where(own, hit.long(), -1)

    def forward(self, batch: DocumentBatch) -> Float[Tensor, "documents regressors"]:
        """Regressors of every document; a class is 0 (uninformative) outside its data set."""
        target = self.targets(batch)
        concept = torch.where(target >= 0, standardised_label(target.float(), self.prevalence), 0.0)
        count = self.by_dataset.sum()
        mean = self.log_length[0] / count
        spread = (self.log_length[1] / count - mean**2).clamp(min=1e-12).sqrt()
        length = (valid_tokens(batch).sum(1).clamp(min=1).double().log() - mean) / spread.clamp(min=1e-6)
        share = (self.by_dataset / count).float()
        dataset = (nn.functional.one_hot(batch.dataset, len(share)).float() - share)[:, 1:]
        ones = torch.ones(len(concept), 1, device=concept.device)
        return torch.cat([concept, ones, length[:, None].float(), dataset], dim=-1)
