"""Which documents may carry each other's labels, and in which order they do (equations.md S5)."""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from semprune.attribution.held_out.observations import Observations
from semprune.errors import TooFewDocumentsError


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
        for seen in observations.seen():
            lengths = seen.batch.attention_mask.sum(1).tolist()
            for row, cluster in enumerate(seen.batch.cluster.tolist()):
                units[cluster].append(len(labels))
                dataset[cluster] = int(seen.batch.dataset[row])
                labels.append(seen.labels[row, : lengths[row]].cpu())
                label.append(int(seen.batch.label[row]))
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
