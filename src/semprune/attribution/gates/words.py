"""The task of a concept of words: to expect its words where the dense model expects them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from semprune.attribution.gates.task import Draw, Parts
from semprune.backbones import Backbone
from semprune.errors import NonFiniteError, TooFewWordsError
from semprune.evaluation.engine.causal_lm import evaluating
from semprune.evaluation.engine.logits import logits_at
from semprune.evaluation.engine.token_logprobs import token_logprobs

EXPECTED = 1.0
"""Nats above its frequency from which a word counts as expected (ours)."""
LEAST_WORDS = 16
"""Expected words of the concept, and others, that a text must hold (ours)."""
BATCH = 8  # windows of a forward of the dense model


class WordTask:
    r"""Places of text where the dense model expects a word of the concept, and others as frequent.

    .. math:: R_c = \frac{\sum_{t \in c} e_t}{\sum_{t \in c} e_t^{dense}}
              + \Big(1 - \frac{\sum_{t \in o} e_t}{\sum_{t \in o} e_t^{dense}}\Big)^+, \qquad
              e_t = (\log p(w_t) - \log f(w_t))^+

    with `f` the word's frequency in the text: below it nothing more is earned, since a word that is as unlikely as
    anywhere is not known; to suppress it is no ablation. The second term keeps gates from taking words away that are
    as frequent and as expected: each word of the concept has another next to it in frequency.

    Source: equations.md S8; the floor and the matching are ours.

    Attributes:
        concept: Name of the concept.
        windows: Those with places; nothing in them is padding.
        dense: What the dense model says of each.
        source: The concept.
    """

    columns = 2

    def __init__(
        self, lm: Backbone, concept: str, labels: Bool[Tensor, "windows tokens"], text: Int[Tensor, "windows tokens"]
    ) -> None:
        """Read the text with the dense model, once.

        Args:
            lm: The dense backbone.
            concept: Name of the concept.
            labels: Which tokens end a word of it.
            text: Windows without padding.

        Raises:
            TooFewWordsError: The text has fewer than :data:`LEAST_WORDS` words of the concept that the model expects,
                or too few others.
            NonFiniteError: The model gives NaN or infinite log-probabilities.
        """
        self.concept = self.source = concept
        counts = torch.bincount(text.flatten(), minlength=lm.model.get_input_embeddings().num_embeddings)
        self._frequency = (counts.double() / counts.sum()).log()
        expected = _above(lm, text, self._frequency) > EXPECTED
        own = labels[:, 1:].cpu() & expected
        some = own.any(1)
        self.windows, own, others = text[some], own[some].nonzero(), (~labels[:, 1:].cpu() & expected)[some].nonzero()
        if min(len(own), len(others)) < LEAST_WORDS:
            raise TooFewWordsError(concept, len(own), len(others), LEAST_WORDS, text.numel())
        others = others[self._matched(own, others)]
        self._places = torch.cat([own, others])  # [places, window and position]
        self._column = torch.arange(2).repeat_interleave(torch.tensor([len(own), len(others)]))
        every = range(len(self.windows))
        with evaluating(lm.model):
            parts = [self.read(lm, every[at : at + BATCH]) for at in every[::BATCH]]
        self.dense: Parts = torch.cat(parts).cpu()  # out here, where gradients may meet it

    def _matched(self, own: Int[Tensor, "own two"], others: Int[Tensor, "others two"]) -> list[int]:
        """For each place the free other one whose word is next in frequency, the rarest first, while there are any."""
        mine, theirs = (self._frequency[self.windows[at[:, 0], at[:, 1] + 1]] for at in (own, others))
        free, chosen = theirs.clone(), []
        for value in mine.sort().values[: len(others)]:
            nearest = int((free - value).abs().argmin())
            chosen.append(nearest)
            free[nearest] = torch.inf
        return chosen

    def draw(self, step: int, count: int, seed: Sequence[int]) -> list[int]:
        """Windows of one step."""
        every = np.random.default_rng(list(seed)).permutation(len(self.windows))
        return [int(index) for index in every[:count]]

    def start(self, count: int, seed: int) -> list[int]:
        """Windows that the first order is taken of."""
        return self.draw(0, count, [seed])

    def sizes(self, units: Sequence[int]) -> tuple[list[int], list[int]]:
        """One row each, all of one length."""
        return [1] * len(units), [self.windows.shape[1]] * len(units)

    def read(self, lm: Backbone, units: Sequence[int]) -> Parts:
        """Summed nats above frequency of each window's words of the concept, and of the others."""
        chosen = torch.tensor(list(units))
        window, place = (self._places[:, 0] == chosen[:, None]).nonzero(as_tuple=True)
        positions, ids = self._places[place, 1], self.windows[chosen]
        whole = len(positions) * len(self._frequency)
        chunks = logits_at(lm.model, ids, torch.ones_like(ids), window, positions, elements=whole)
        logits = torch.cat(list(chunks))
        targets = ids[window, positions + 1]
        wide = logits.log_softmax(-1, dtype=torch.promote_types(logits.dtype, torch.float32))
        above = wide.gather(1, targets[:, None].to(wide.device))[:, 0] - self._frequency[targets].to(wide)
        cell = (2 * window + self._column[place]).to(wide.device)
        return wide.new_zeros(2 * len(chosen)).index_add(0, cell, above.clamp(min=0)).view(-1, 2)

    def left(self, draws: Sequence[Draw]) -> Float[Tensor, ""]:
        """Share of the concept's words that is still expected, and of the others that no longer is."""
        parts = torch.cat([draw.parts for draw in draws])
        kept = parts.sum(0) / self._total([unit for draw in draws for unit in draw.units]).to(parts)
        return kept[0] + (1 - kept[1]).clamp(min=0)

    def moved(self, units: Sequence[int], parts: Parts, dense: Parts) -> Float[Tensor, ""]:
        """Square of the share of the concept's words that is lost, or gained."""
        return (1 - parts[:, 0].sum() / dense[:, 0].sum().clamp(min=1)).square()

    def weights(self, units: Sequence[int]) -> Parts:
        """The concept's words against the others, each by what the dense model says of them."""
        return (torch.tensor([1.0, -1.0]) * len(units) / self._total(units)).expand(len(units), 2)

    def require_known(self, parts: Parts, units: Sequence[int]) -> None:
        """Nothing to refuse: words that the dense model does not expect are no places."""

    def _total(self, units: Sequence[int]) -> Float[Tensor, " two"]:
        total = self.dense[list(units)].sum(0)
        return total.clamp(min=1)  # nats; windows may be without another word


def _above(
    lm: Backbone, text: Int[Tensor, "windows tokens"], frequency: Float[Tensor, " vocabulary"]
) -> Float[Tensor, "windows positions"]:
    """Nats above its frequency of every token but the first, by the dense model."""
    found = []
    for ids in text.split(BATCH):
        rows, positions = (each.flatten() for each in torch.meshgrid(
            torch.arange(len(ids)), torch.arange(ids.shape[1] - 1), indexing="ij"
        ))  # fmt: skip
        targets = ids[:, 1:].flatten()
        with evaluating(lm.model):
            logprobs, _ = token_logprobs(lm.model, ids, torch.ones_like(ids), rows, positions, targets)
        found.append((logprobs.cpu().double() - frequency[targets]).view(len(ids), -1))
    above = torch.cat(found)
    if not above.isfinite().all():
        raise NonFiniteError("the log-probability of a word of a text that gates are learned from")
    return above
