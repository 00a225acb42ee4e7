"""Two models of different runs on the items that both were asked: what one keeps more than the other, item by item."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Float, Int

from semprune.analysis.drops import EVERYTHING, DatasetDrops, Drops, paired_values
from semprune.analysis.skill_drops import lost_shares
from semprune.artefacts import NO_ANSWER, Answers, DatasetAnswers
from semprune.statistics.intervals import Bounded, clustered_error, mean_test
from semprune.statistics.proportions import paired_difference_interval, tango
from semprune.statistics.skill import PairedSkill, retained_skill

LEAST_SHARED = 10
"""With fewer items in common the two are compared as if they had none: ours."""


class ModelAnswers(NamedTuple):
    """A model of a run.

    Attributes:
        answers: Of its run.
        model: Its row.
        dense: The dense model's row.
    """

    answers: Answers
    model: int
    dense: int


class Compared(NamedTuple):
    """Two models on the same items of a data set.

    Attributes:
        dataset: Its name.
        wholes: The values of each one's dense model, whose mean is its score.
        values: The values of both models.
        documents: Number of each item's document.
    """

    dataset: str
    wholes: tuple[Float[np.ndarray, " items"], Float[np.ndarray, " items"]]
    values: tuple[Float[np.ndarray, " items"], Float[np.ndarray, " items"]]
    documents: Int[np.ndarray, " items"]

    @property
    def names(self) -> list[str]:
        """The documents as the statistics take them."""
        return [str(number) for number in self.documents.tolist()]


def shared_items(one: DatasetAnswers, other: DatasetAnswers) -> tuple[list[int], list[int]]:
    """Places of the items that two runs have in common, in one order: of one name, wording and right answer.

    Args:
        one: A run's answers, on the items that its models were asked.
        other: Another's.
    """
    keys = [list(zip(each.prompts, each.items, each.label.tolist(), strict=True)) for each in (one, other)]
    place = {key: index for index, key in enumerate(keys[1])}
    both = [(index, place[key]) for index, key in enumerate(keys[0]) if key in place]
    return [first for first, _ in both], [second for _, second in both]


def compare_models(one: ModelAnswers, other: ModelAnswers, dataset: str, metric: str) -> Compared | None:
    """Pair two models' answers to a data set.

    Args:
        one: The first model.
        other: The second.
        dataset: Its name.
        metric: ``accuracy``, ``acc_norm`` or ``auroc``.

    Returns:
        None where they share fewer than :data:`LEAST_SHARED` items, these have one label only, which no AUROC has, or
        a run is of before lengths of choices were kept, which ``acc_norm`` needs.

    Raises:
        UnpairedPredictionsError: A model was measured on other items than its dense model.
        MetricUndefinedError: The AUROC of items with different numbers of choices.
    """
    asked = [_asked(each, dataset) for each in (one, other)]
    places = shared_items(*asked)
    labels = asked[0].label[places[0]]
    if len(places[0]) < LEAST_SHARED or (metric == "auroc" and len(np.unique(labels)) < 2):
        return None
    if metric == "acc_norm" and any((each.normalised == NO_ANSWER).any() for each in asked):
        return None
    dense, model = np.array([0]), np.array([1])
    found = [paired_values(_only(a, chosen), dense, model, metric) for a, chosen in zip(asked, places, strict=True)]
    (first, first_left, documents), (second, second_left, _) = found
    return Compared(dataset, (first[0], second[0]), (first_left[0], second_left[0]), documents)


def _asked(one: ModelAnswers, dataset: str) -> DatasetAnswers:
    """A model and its dense one, in that order backwards, on the items that the dense one answered."""
    found = next(each for each in one.answers.datasets if each.name == dataset)
    rows = [one.dense, one.model]
    own = replace(found, right=found.right[rows], normalised=found.normalised[rows], scores=found.scores[rows])
    return _only(own, np.flatnonzero(own.right[0] != NO_ANSWER).tolist())


def _only(one: DatasetAnswers, places: Sequence[int]) -> DatasetAnswers:
    """Some of the items, in the order that is given."""
    chosen = np.asarray(places, dtype=np.int64)
    return replace(
        one,
        prompts=[one.prompts[place] for place in places],
        items=[one.items[place] for place in places],
        document=one.document[chosen],
        label=one.label[chosen],
        right=one.right[:, chosen],
        normalised=one.normalised[:, chosen],
        scores=one.scores[:, chosen],
    )


def score_difference(compared: Compared, metric: str) -> Bounded:
    """Second model's score minus the first's: Tango's interval of shares, DeLong's of AUROC.

    Args:
        compared: The models.
        metric: That their values are of.
    """
    first, second = compared.values
    difference = second - first
    if metric != "auroc":
        ends = paired_difference_interval(first > 0.5, second > 0.5, compared.names)
    elif clustered_error(difference, compared.names)[0] == 0:  # no pair differs: as of a share, never of width 0
        n, change = len(set(compared.names)), float(difference.mean())
        ends = tango(max(change, 0.0) * n, max(-change, 0.0) * n, n)
    else:
        ends, _ = mean_test(difference, compared.names)
    return float(difference.mean()), *ends


def skill_difference(compared: Sequence[Compared], guessing: Sequence[float]) -> tuple[Bounded, Bounded, Bounded]:
    r"""Shares of skill that two models keep, pooled over data sets, and the second's minus the first's.

    .. math:: \rho_2 - \rho_1, \quad \rho_r = \frac{\sum_k (P_{rk} - g_k)}{\sum_k (D_{rk} - g_k)}

    Each share has Fieller's interval. The difference is paired by item and clustered by document; its interval is of
    first order (Student's t) in the dense models' skill too, since these need not be one and the same model.

    Source: ours, as :func:`semprune.analysis.skill_drops.skill_drops`.

    Args:
        compared: Of each data set.
        guessing: Score of a guess on each.

    Returns:
        First share, second share and difference, with the ends of their 95 % intervals; NaN where a dense model is
        not clearly better than guessing.
    """
    shares = [
        retained_skill(
            [PairedSkill(c.wholes[side], c.values[side], g, c.names) for c, g in zip(compared, guessing, strict=True)]
        )
        for side in (0, 1)
    ]
    first, second = (
        lost_shares([(c.wholes[side][None], c.values[side][None]) for c in compared], guessing) for side in (0, 1)
    )
    if first is None or second is None or np.isnan([share[1] for share in shares]).any():
        return shares[0], shares[1], (float("nan"), float("nan"), float("nan"))
    rows = [
        DatasetDrops(c.dataset, "", lost - lost_too, c.documents)
        for c, lost, lost_too in zip(compared, first, second, strict=True)
    ]
    estimate = Drops(pd.DataFrame(index=[0]), tuple(rows), "retained").estimate(np.ones(1), EVERYTHING)
    return shares[0], shares[1], (estimate.value, *estimate.interval)


def flip_difference(compared: Compared) -> tuple[float, float, Bounded]:
    """Shares of items that two models answer otherwise right or wrong than their dense ones; second minus first.

    Args:
        compared: Of accuracy.
    """
    first, second = (
        (whole > 0.5) != (left > 0.5) for whole, left in zip(compared.wholes, compared.values, strict=True)
    )
    ends = paired_difference_interval(first, second, compared.names)
    shares = float(first.mean()), float(second.mean())
    return (*shares, (shares[1] - shares[0], *ends))
