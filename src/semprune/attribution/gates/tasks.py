"""The task of a class: the order in which a model puts texts of the class and others."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from semprune.attribution.gates.task import Draw, Parts
from semprune.backbones import Backbone
from semprune.data.batches.answers import request_places, request_scores
from semprune.data.batches.batching import PaddedItems, pad_items
from semprune.data.batches.encoding import padding_token
from semprune.data.batches.scorable import encode_items
from semprune.errors import TooFewItemsError, UnknownToTheModelError
from semprune.evaluation.engine.logits import logits_at
from semprune.statistics.auroc import auroc_values
from semprune.statistics.intervals import mean_test
from semprune.types import Item

LEAST_ITEMS = 8
"""Items of a class, and of all others, that every wording needs: fewer tell no order (ours)."""
CHANCE = 0.5


class ClassTask:
    """Items of a labelled data set, and which of their choices stands for the concept.

    Attributes:
        concept: Name of the class, for messages.
        labels: Which items are of the class.
        source: Its data sets.
    """

    columns = 1

    def __init__(self, lm: Backbone, concept: str, items: Sequence[Item], choice: int) -> None:
        """Encode the items.

        Args:
            lm: Whose tokenizer.
            concept: Name of the class.
            items: Of one or several wordings, all with the same number of choices.
            choice: The choice that stands for the class.

        Raises:
            TooFewItemsError: A wording has fewer than :data:`LEAST_ITEMS` of the class, or of the others.
        """
        self.concept, self.choice = concept, choice
        self._encoded = encode_items(lm.tokenizer, items, lm.max_length).items
        self._padding = padding_token(lm.tokenizer)
        self.labels: Bool[Tensor, " items"] = torch.tensor([each.item.label == choice for each in self._encoded])
        self._wordings: dict[tuple[str, str], list[int]] = {}
        for index in range(len(self._encoded)):
            self._wordings.setdefault(self._wording(index), []).append(index)
        if not self._wordings:
            raise TooFewItemsError(concept, 0, 0, LEAST_ITEMS)
        self.source = "+".join(sorted({dataset for dataset, _ in self._wordings}))
        for own in self._wordings.values():
            inside = int(self.labels[own].sum())
            if min(inside, len(own) - inside) < LEAST_ITEMS:
                raise TooFewItemsError(concept, inside, len(own) - inside, LEAST_ITEMS)

    @property
    def wordings(self) -> int:
        """How many data sets and prompts there are."""
        return len(self._wordings)

    def wording_of(self, indices: Sequence[int]) -> list[int]:
        """Number of the wording of each chosen item."""
        names = list(self._wordings)
        return [names.index(self._wording(index)) for index in indices]

    def documents(self, indices: Sequence[int]) -> list[str]:
        """Document of each chosen item."""
        return [self._encoded[index].item.document_id for index in indices]

    def _wording(self, index: int) -> tuple[str, str]:
        item = self._encoded[index].item
        return item.dataset, item.prompt

    def draw(self, step: int, count: int, seed: Sequence[int]) -> list[int]:
        """Draw pairs of an item of the class and another, spread over the wordings, the next step's where this ends."""
        pairs = max(count // 2, 1)
        turns = [(step * pairs + place) % self.wordings for place in range(pairs)]
        return [index for w in sorted(set(turns)) for index in self._pairs(w, turns.count(w), [*seed, w])]

    def start(self, count: int, seed: int) -> list[int]:
        """Items that the first order is taken of, as many of every wording."""
        each = max(count // self.wordings, LEAST_ITEMS) // 2
        return [index for wording in range(self.wordings) for index in self._pairs(wording, each, [seed, wording])]

    def _pairs(self, wording: int, count: int, seed: Sequence[int]) -> list[int]:
        """Items of one wording, as many of the class as of the others; of a small class all there are."""
        own = np.array(list(self._wordings.values())[wording])
        inside = self.labels[own].numpy()
        random = np.random.default_rng(list(seed))
        return [int(index) for side in (own[inside], own[~inside]) for index in random.permutation(side)[:count]]

    def batch(self, indices: Sequence[int]) -> PaddedItems:
        """Pad chosen items."""
        return pad_items([self._encoded[index] for index in indices], self._padding)

    def sizes(self, indices: Sequence[int]) -> tuple[list[int], list[int]]:
        """Rows of each chosen item, and tokens of its longest."""
        chosen = [self._encoded[index] for index in indices]
        return [len(each.rows) for each in chosen], [each.longest for each in chosen]

    def read(self, lm: Backbone, units: Sequence[int]) -> Parts:
        """Log-odds of items."""
        return self.log_odds(lm, self.batch(units))[:, None]

    def left(self, draws: Sequence[Draw]) -> Float[Tensor, ""]:
        """See :func:`order_kept`; the mean over wordings, each by itself, since each has a bias of its own."""
        units = [unit for draw in draws for unit in draw.units]
        odds = torch.cat([draw.parts[:, 0] for draw in draws])
        inside = self.labels[units].to(odds.device)
        wording = torch.tensor(self.wording_of(units), device=odds.device)
        step = torch.repeat_interleave(torch.arange(len(draws)), torch.tensor([len(draw.units) for draw in draws]))
        step = step.to(odds.device)
        owns = [wording == each for each in wording.unique()]
        return torch.stack([order_kept(odds[own], inside[own], step[own]) for own in owns]).mean()

    def moved(self, units: Sequence[int], parts: Parts, dense: Parts) -> Float[Tensor, ""]:
        """See :func:`log_odds_moved`, within each wording."""
        wording = torch.tensor(self.wording_of(units), device=parts.device)
        return log_odds_moved(parts[:, 0], dense[:, 0], wording)

    def weights(self, units: Sequence[int]) -> Parts:
        """Labels of mean 0 and variance 1 within their wording."""
        wordings, inside = torch.tensor(self.wording_of(units)), self.labels[list(units)]
        labels = torch.zeros(len(units))
        for wording in wordings.unique().tolist():
            labels[wordings == wording] = standard_labels(inside[wordings == wording])
        return labels[:, None]

    def require_known(self, parts: Parts, units: Sequence[int]) -> None:
        """Refuse a concept that the dense model does not have: there is nothing that gates could take away.

        Raises:
            UnknownToTheModelError: The lower end of the 95 % interval of the AUROC (DeLong) is not above ½; log-odds
                of a wording are taken from its own mean.
        """
        centred, wordings = parts[:, 0].double().cpu().numpy().copy(), np.array(self.wording_of(units))
        for wording in np.unique(wordings):
            centred[wordings == wording] -= centred[wordings == wording].mean()
        values = auroc_values(np.stack([np.zeros_like(centred), centred], 1), self.labels[list(units)].long().numpy())
        low = mean_test(values, self.documents(units))[0].low
        if not low > CHANCE:
            raise UnknownToTheModelError(self.concept, float(values.mean()), low, len(values))

    def log_odds(self, lm: Backbone, batch: PaddedItems) -> Float[Tensor, " items"]:
        """Log-probability of the class's answer less the mean of the others', one per item; one forward.

        A preference for one answer moves every item alike, with more than two choices too.
        """
        rows, positions = request_places(batch)
        whole = len(rows) * lm.model.get_output_embeddings().weight.shape[0]
        chunks = logits_at(lm.model, batch.input_ids, batch.attention_mask, rows, positions, elements=whole)
        scores = request_scores(batch, torch.cat(list(chunks))).view(len(batch.items), -1)
        others = torch.arange(scores.shape[1], device=scores.device) != self.choice
        return scores[:, self.choice] - scores[:, others].mean(1)


def order_kept(
    odds: Float[Tensor, " items"], inside: Bool[Tensor, " items"], draw: Int[Tensor, " items"]
) -> Float[Tensor, ""]:
    r"""Correlation of log-odds with labels within draws, 0 where it is negative: the task that gates take away.

    .. math:: R_c = \max\big(0,\ \mathrm{corr}(s - \bar s_{draw},\ y - \bar y_{draw})\big)

    A label's bias earns nothing, since a constant does not correlate, though it moves from draw to draw; nor does
    shrinking all log-odds, which leaves their order as it was and which a softplus of pairwise differences would
    reward; nor does reversing the order. Of one small draw the sign would be chance's wherever little order is left:
    half of the steps would teach nothing, and the others go on after the order is gone. Over several draws it is not.

    Source: equations.md S8, its standardised covariance.

    Args:
        odds: Log-odds of one wording; several wordings have biases of their own.
        inside: Which items are of the class; every draw should have some that are and some that are not.
        draw: Which draw each item is of.

    Example:
        >>> odds, inside = torch.tensor([3.0, 2.0, 0.0, -1.0]), torch.tensor([True, True, False, False])
        >>> one = torch.zeros(4, dtype=torch.long)
        >>> [round(float(order_kept(each, inside, one)), 4) for each in (odds, 0.1 * odds + 7, -odds)]
        [0.9487, 0.9487, 0.0]
        >>> two, moved = torch.tensor([0, 1, 0, 1]), torch.tensor([0.0, 7.0, 0.0, 7.0])  # a bias that moved in between
        >>> [float(order_kept(each, inside, two)) for each in (odds, odds + moved, torch.ones(4))]
        [1.0, 1.0, 0.0]
    """
    y, s = _within(inside.to(odds), draw), _within(odds, draw)
    if not s.norm() > torch.finfo(odds.dtype).eps * odds.norm():
        return s.sum() * 0.0  # one answer to all items: no order is left, and no direction that would lose more
    correlation: Tensor = s @ y / (s.norm() * y.norm())
    return correlation.clamp(min=0)


def log_odds_moved(
    odds: Float[Tensor, " items"], dense: Float[Tensor, " items"], wording: Int[Tensor, " items"]
) -> Float[Tensor, ""]:
    r"""Squared distance of log-odds from the dense model's, as a share of how far these spread; within wordings.

    .. math:: D = \frac{\sum_i (s_i - \bar s - s_i^{dense} + \bar s^{dense})^2}{\sum_i (s_i^{dense} - \bar s^{dense})^2}

    A bias moves all items of a wording alike and is no loss; where all items get one answer, D is 1. Where the dense
    model gives all one answer there is nothing to lose.

    Source: ours; equations.md S8.

    Args:
        odds: Log-odds under gates.
        dense: Of the same items without.
        wording: Which wording each item has.

    Example:
        >>> dense, one = torch.tensor([3.0, 1.0, -1.0, -3.0]), torch.zeros(4, dtype=torch.long)
        >>> [float(log_odds_moved(each, dense, one)) for each in (dense + 5, dense / 2, torch.ones(4), -dense)]
        [0.0, 0.25, 1.0, 4.0]
        >>> float(log_odds_moved(dense, torch.ones(4), one))
        0.0
    """
    spread, distance = _within(dense, wording), _within(odds - dense, wording)
    if not spread.norm() > torch.finfo(dense.dtype).eps * dense.norm():
        return distance.sum() * 0.0
    return distance.square().sum() / spread.square().sum()


def _within(values: Float[Tensor, " items"], draw: Int[Tensor, " items"]) -> Float[Tensor, " items"]:
    """Distance of each value from the mean of its draw."""
    counts = torch.bincount(draw).to(values)
    means = values.new_zeros(len(counts)).index_add(0, draw, values) / counts.clamp(min=1)
    return values - means[draw]


def standard_labels(inside: Bool[Tensor, " items"]) -> Float[Tensor, " items"]:
    """Labels of mean 0 and variance 1, fp32."""
    y = inside.float()
    return (y - y.mean()) / y.std(correction=0)
