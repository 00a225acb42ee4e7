"""Permutation nulls (equations.md S5): what associations come out when documents carry the labels of other documents.

Whole documents change places, so labels keep their bursts, word pairs and positions, and activations their
dependence inside a document: only the link between the two is cut. A document's labels go to another one of the same
data set, with as many texts and a length of the same power of two; a longer document's labels are cut, a shorter one's
are followed by none.
"""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from semprune.attribution.fit.encoder import Encoder
from semprune.attribution.fit.encoding import EncodingSums, independent_t, solve
from semprune.attribution.fit.learner import LabelledBatch, forward_sites, pooled
from semprune.attribution.held_out.observations import Observations
from semprune.errors import ConfigurationError, TooFewDocumentsError
from semprune.types import NeuronSite


@dataclass(frozen=True)
class ExchangeableTexts:
    """Every text's labels and the document it is from, in the order of the batches.

    Attributes:
        labels: Token-level concepts of each text.
        label: Class of each text.
        units: Texts of each document.
        strata: Documents that may change places: same data set, number of texts and power of two of the length.
    """

    labels: list[Bool[Tensor, "tokens concepts"]]
    label: Int[Tensor, " texts"]
    units: list[list[int]]
    strata: list[list[int]]

    @classmethod
    def of(cls, observations: Observations) -> ExchangeableTexts:
        """Read all labels; no forward."""
        labels: list[Tensor] = []
        label: list[int] = []
        units: defaultdict[int, list[int]] = defaultdict(list)
        dataset: dict[int, int] = {}
        for labelled in observations.labelled():
            lengths = labelled.batch.attention_mask.sum(1).tolist()
            for row, cluster in enumerate(labelled.batch.cluster.tolist()):
                units[cluster].append(len(labels))
                dataset[cluster] = int(labelled.batch.dataset[row])
                labels.append(labelled.labels[row, : lengths[row]].cpu())
                label.append(int(labelled.batch.label[row]))
        strata: defaultdict[tuple[int, int, int], list[int]] = defaultdict(list)
        whole = list(units.values())
        for place, (cluster, texts) in enumerate(units.items()):
            length = sum(len(labels[text]) for text in texts)
            strata[dataset[cluster], len(texts), int(math.log2(max(length, 1)))].append(place)
        return cls(labels, torch.tensor(label), whole, list(strata.values()))

    def donors(self, permutations: int, seed: int) -> list[Int[Tensor, " texts"]]:
        """For the truth and each permutation: whose labels each text gets.

        Raises:
            TooFewDocumentsError: There are not so many ways to change places.
        """
        ways = sum(math.lgamma(len(stratum) + 1) for stratum in self.strata)
        if ways < math.log(permutations + 1):
            needed = f"documents that can change places in more than {permutations} ways"
            raise TooFewDocumentsError("a permutation null", needed, len(self.units))
        random = torch.Generator().manual_seed(seed)
        out = [torch.arange(len(self.labels))]
        for _ in range(permutations):
            donor = torch.arange(len(self.labels))
            for stratum in self.strata:
                order = torch.randperm(len(stratum), generator=random).tolist()
                for place, other in zip(stratum, order, strict=True):
                    donor[self.units[place]] = torch.tensor(self.units[stratum[other]])
            out.append(donor)
        return out


@dataclass(frozen=True)
class PermutationNull:
    """Associations of chosen neurons under permuted documents.

    Attributes:
        rows: The neurons.
        observed: t of the true labels, as if tokens were independent.
        null: The same under each permutation.
    """

    rows: Int[Tensor, " rows"]
    observed: Float[Tensor, "rows concepts"]
    null: Float[Tensor, "permutations rows concepts"]

    @property
    def p(self) -> Float[Tensor, "rows concepts"]:
        """Two-sided p: share of the permutations, the true one among them, with at least the true |t|.

        Source: Phipson and Smyth (2010): never 0.
        """
        return (1 + (self.null.abs() >= self.observed.abs()).sum(0)) / (1 + len(self.null))

    @property
    def z(self) -> Float[Tensor, "rows concepts"]:
        """How many standard deviations of its own null the true t is from the null's mean; 0 where nothing varies."""
        spread = self.null.std(0)
        return torch.where(spread > 0, (self.observed - self.null.mean(0)) / spread.clamp(min=1e-12), 0)


def permutation_null(
    observations: Observations, rows: Int[Tensor, " rows"] | None = None, *, permutations: int = 200, seed: int = 0
) -> PermutationNull:
    """Permute documents, and give the t of chosen neurons under each permutation: one forward for all of them.

    Memory: `permutations × regressors × rows` in fp32 and the labels as bits; choose the rows accordingly.

    Args:
        observations: The documents, and a prepared learner.
        rows: Neurons to test; None takes all.
        permutations: How many; 200 resolve p = 0.005.
        seed: Of the permutations.

    Raises:
        TooFewDocumentsError: The documents cannot be permuted in so many ways.
        ConfigurationError: ``permutations`` is not positive.
    """
    if permutations < 1:
        raise ConfigurationError(f"permutations is {permutations}: ask for at least 1, and 200 for a p of 0.005.")
    learner = observations.learner
    chosen = torch.arange(learner.neurons) if rows is None else rows.cpu()
    texts = ExchangeableTexts.of(observations)
    donors = texts.donors(permutations, seed)
    encoders = {level: getattr(learner, level) for level in observations.used_levels()}
    widths = {"token": learner.token_design.width, "sequence": learner.sequence_design.width}
    sums = {level: [_Sums(widths[level], len(chosen)) for _ in donors] for level in encoders}
    start = 0
    for labelled in observations.labelled():
        z = _chosen_values(observations, labelled, chosen)
        here = slice(start, start + len(labelled.valid))
        start = here.stop
        for index, donor in enumerate(donors):
            _add(observations, labelled, texts, donor[here], z, {level: each[index] for level, each in sums.items()})
    each = [torch.cat([sums[level][k].t(encoders[level]) for level in sums], dim=1) for k in range(len(donors))]
    t = torch.stack(each)
    return PermutationNull(chosen, t[0], t[1:])


class _Sums:
    """Sufficient statistics of one permutation."""

    def __init__(self, width: int, neurons: int) -> None:
        self.gram = torch.zeros(width, width, dtype=torch.float64)
        self.cross = torch.zeros(width, neurons)
        self.squares = torch.zeros(neurons, dtype=torch.float64)
        self.count = torch.zeros((), dtype=torch.float64)

    def add(self, regressors: Tensor, values: Tensor, count: int) -> None:
        self.gram += (regressors.T @ regressors).cpu()
        self.cross += (regressors.T @ values).cpu()
        self.squares += values.square().sum(0).cpu()
        self.count += count

    def t(self, encoder: Encoder) -> Float[Tensor, "rows concepts"]:
        sums = EncodingSums(self.gram, self.cross, self.squares, self.count)
        return independent_t(sums, solve(sums, encoder.ridge), encoder.ridge, encoder.concepts)


def _chosen_values(
    observations: Observations, labelled: LabelledBatch, rows: Int[Tensor, " rows"]
) -> Float[Tensor, "documents tokens rows"]:
    """Standardised activations of the chosen neurons over one batch."""
    learner = observations.learner
    out = torch.zeros(*labelled.valid.shape, len(rows), device=labelled.valid.device)

    def take(site: NeuronSite, activations: Tensor) -> None:
        where = learner.standardiser.index.where(site)
        own = (rows >= where.start) & (rows < where.stop)
        z = learner.standardiser.columns(site, activations, (rows[own] - where.start).to(activations.device))
        out[..., own.to(out.device)] = z * labelled.valid[..., None]

    forward_sites(observations.lm, learner.sites, labelled.batch, take)
    return out


def _add(
    observations: Observations,
    labelled: LabelledBatch,
    texts: ExchangeableTexts,
    donor: Int[Tensor, " documents"],
    z: Float[Tensor, "documents tokens rows"],
    sums: dict[str, _Sums],
) -> None:
    learner = observations.learner
    if "token" in sums:
        labels = torch.zeros_like(labelled.labels)
        for row, text in enumerate(donor.tolist()):
            own = texts.labels[text][: labels.shape[1]].to(labels.device)
            labels[row, : len(own)] = own
        regressors = learner.token_design(labelled.batch, labels) * labelled.valid[..., None]
        sums["token"].add(regressors.flatten(0, 1), z.flatten(0, 1), int(labelled.tokens))
    if "sequence" in sums:
        batch = replace(labelled.batch, label=texts.label[donor].to(labelled.batch.label))
        sums["sequence"].add(learner.sequence_design(batch), pooled(z, labelled.valid), len(labelled.valid))
