"""The answer to one evaluation item, and tables of answers."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import astuple, dataclass, fields

import numpy as np
import pandas as pd

from semprune.evaluation.metrics import ChoiceScores
from semprune.statistics.auroc import label_log_odds
from semprune.statistics.weighting import Array
from semprune.types import Item


@dataclass(frozen=True, slots=True)
class Prediction:
    """How one item was answered.

    Attributes:
        dataset: Name of the data set.
        prompt: Name of the prompt.
        item_id: Identifier, unique within data set and prompt.
        document_id: Cluster for statistics.
        label: Index of the right choice.
        prediction: Index of the choice with the largest score; the first wins ties.
        scores: Summed log-probability of each choice, in nats.
        lengths: Characters of each choice, without the space before it.
        grade: Graded label where the data set has one, else NaN.
    """

    dataset: str
    prompt: str
    item_id: str
    document_id: str
    label: int
    prediction: int
    scores: tuple[float, ...]
    lengths: tuple[int, ...]
    grade: float = math.nan

    @property
    def key(self) -> tuple[str, str, str]:
        """What makes it one prediction: data set, prompt and item."""
        return (self.dataset, self.prompt, self.item_id)


PREDICTION_COLUMNS = tuple(field.name for field in fields(Prediction))


def choice_length(continuation: str) -> int:
    """Characters of a choice for ``acc_norm``: the space that joins it to the context does not count.

    Args:
        continuation: A request's continuation.

    Returns:
        At least 1, so that an empty choice divides by nothing.

    Example:
        >>> choice_length(" yes"), choice_length("yes")
        (3, 3)
    """
    return max(1, len(continuation.removeprefix(" ")))


def predict(item: Item, scores: tuple[float, ...]) -> Prediction:
    """Build the prediction of an item from the scores of its choices.

    Args:
        item: The evaluation item.
        scores: Summed log-probability of each choice.

    Returns:
        The prediction.
    """
    return Prediction(
        dataset=item.dataset,
        prompt=item.prompt,
        item_id=item.item_id,
        document_id=item.document_id,
        label=item.label,
        prediction=max(range(len(scores)), key=scores.__getitem__),  # max keeps the first of equals
        scores=scores,
        lengths=tuple(choice_length(continuation) for _, continuation in item.requests),
        grade=math.nan if item.grade is None else item.grade,
    )


def prediction_table(predictions: Iterable[Prediction]) -> pd.DataFrame:
    """Predictions as a table: the first of repeated items, sorted by data set, prompt and item.

    Args:
        predictions: Predictions in any order, with or without repeats.

    Returns:
        Columns of :class:`Prediction`; scores and lengths are lists.
    """
    unique: dict[tuple[str, str, str], Prediction] = {}
    for prediction in predictions:
        unique.setdefault(prediction.key, prediction)
    rows = [astuple(unique[key]) for key in sorted(unique)]
    table = pd.DataFrame(rows, columns=list(PREDICTION_COLUMNS))
    for column in ("scores", "lengths"):
        table[column] = table[column].map(list)
    return table


def choice_scores(predictions: pd.DataFrame) -> ChoiceScores:
    """Predictions of one data set and prompt as arrays.

    Args:
        predictions: Rows with the columns ``scores``, ``lengths`` and ``label``; ``grade`` where there are grades.

    Returns:
        Scores padded with -inf and lengths padded with 1 to the largest number of choices.
    """
    return ChoiceScores(
        scores=_padded(predictions["scores"], -np.inf),
        labels=predictions["label"].to_numpy(dtype=np.int64),
        lengths=_padded(predictions["lengths"], 1.0),
        grades=predictions["grade"].to_numpy(dtype=np.float64) if "grade" in predictions else None,
    )


def against_others(scored: ChoiceScores, label: int) -> ChoiceScores:
    """One class against all others together: two choices of every item, of which the class is the second.

    Args:
        scored: Of a fixed set of labels.
        label: The class.

    Example:
        >>> scored = ChoiceScores(np.log([[0.25, 0.25, 0.5]]), np.array([2]), np.ones((1, 3)))
        >>> two = against_others(scored, 2)
        >>> two.scores.round(6).tolist(), two.labels.tolist()
        ([[0.0, 0.0]], [1])
    """
    odds = label_log_odds(scored.scores, label)
    scores = np.stack([np.zeros_like(odds), odds], axis=-1)
    return ChoiceScores(scores, (scored.labels == label).astype(np.int64), np.ones_like(scores))


def _padded(rows: Iterable[Iterable[float]], filler: float) -> Array:
    """Rows of different lengths as one float64 array."""
    lists = [list(row) for row in rows]
    padded = np.full((len(lists), max(map(len, lists), default=0)), filler)
    for index, row in enumerate(lists):
        padded[index, : len(row)] = row
    return padded
