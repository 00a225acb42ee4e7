"""Collects predictions over data sets and ranks: each item once, in one order, at any world size."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
from torch import distributed

from semprune.data.batches.batching import EncodedItem
from semprune.evaluation.engine.causal_lm import CausalLM
from semprune.evaluation.engine.request_scorer import Engine
from semprune.evaluation.predictions.prediction import Prediction, prediction_table
from semprune.evaluation.predictions.score_items import score_items


class Scorer:
    """Scores items of any mixture of data sets and keeps each item's prediction.

    Under DDP every rank updates with its own batches; :meth:`predictions` gathers them, drops items that a
    distributed sampler repeated, and sorts, so that the table is the same at any world size.

    Example:
        >>> scorer = Scorer()
        >>> scorer.predictions().columns.tolist()[:3]
        ['dataset', 'prompt', 'item_id']
    """

    def __init__(self) -> None:
        """Start without predictions."""
        self._predictions: list[Prediction] = []
        self._engine: Engine | None = None  # of the last model: it remembers how much fits in memory

    def __len__(self) -> int:
        """Return the number of predictions on this rank, repeats included."""
        return len(self._predictions)

    def update(self, model: CausalLM, items: Sequence[EncodedItem]) -> list[Prediction]:
        """Score items and keep their predictions.

        Args:
            model: Any causal LM with a head; it is not asked where there are no items.
            items: Encoded items.

        Returns:
            The predictions, in the order of the items.

        Raises:
            NonFiniteError: If the model gives NaN or infinite log-probabilities.
            OutOfMemoryError: If memory runs out on a single request.
        """
        if self._engine is None or self._engine.model is not model:
            self._engine = Engine(model, padding=0)
        made = score_items(self._engine, items)
        self._predictions.extend(made)
        return made

    def reset(self) -> None:
        """Forget all predictions."""
        self._predictions.clear()

    def predictions(self) -> pd.DataFrame:
        """Return the predictions of all ranks; a collective call under DDP.

        Returns:
            One row per data set, prompt and item, sorted by these, with the columns of :class:`Prediction`.
        """
        gathered = [self._predictions]
        if distributed.is_available() and distributed.is_initialized():
            gathered = [[] for _ in range(distributed.get_world_size())]
            distributed.all_gather_object(gathered, self._predictions)
        return prediction_table(prediction for rank in gathered for prediction in rank)
