"""A metric of choice scores as a torchmetrics state: gathered over ranks, each item counted once."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities import dim_zero_cat

from semprune.errors import SettingError
from semprune.evaluation.metrics import Outcomes, measure, metric
from semprune.evaluation.predictions.predictions import Prediction


def item_key(prediction: Prediction) -> int:
    """Return a 63-bit number for data set, prompt and item, the same in every process.

    Args:
        prediction: The answer to an item.

    Returns:
        The first 63 bits of a sha256.
    """
    digest = hashlib.sha256("\0".join(prediction.key).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


class ItemMetric(Metric):
    """One registered metric over predictions, for ``self.log`` in a LightningModule.

    Items that a distributed sampler repeated are counted once, by :func:`item_key`.

    Example:
        >>> from semprune.evaluation.predictions.predictions import Prediction
        >>> accuracy = ItemMetric("accuracy")
        >>> twice = Prediction("sst2", "harness", "0", "0", 1, 1, (-2.0, -1.0), (8, 8))
        >>> wrong = Prediction("sst2", "harness", "1", "1", 1, 0, (-1.0, -2.0), (8, 8))
        >>> accuracy.update([twice, wrong, twice])
        >>> accuracy.compute().item()
        0.5
    """

    higher_is_better = True
    is_differentiable = False
    full_state_update = False
    keys: list[Tensor]
    scores: list[Tensor]
    lengths: list[Tensor]
    labels: list[Tensor]
    grades: list[Tensor]

    def __init__(self, name: str, *, most_choices: int = 16) -> None:
        """Start without items.

        Args:
            name: A key of :data:`semprune.evaluation.metrics.METRICS`.
            most_choices: Width of the state, the same on all ranks so that it can be gathered. Sixteen covers
                every data set of the registry (the largest, dbpedia_14, has 14).
        """
        super().__init__()
        metric(name)
        self.name = name
        self.most_choices = most_choices
        for state in ("keys", "scores", "lengths", "labels", "grades"):
            self.add_state(state, default=[], dist_reduce_fx="cat")

    def update(self, predictions: Sequence[Prediction]) -> None:
        """Add predictions.

        A rank whose share of a batch is empty must update too: a state without any tensor cannot be gathered.

        Args:
            predictions: Of :meth:`semprune.evaluation.predictions.scorer.Scorer.update`; may be empty.

        Raises:
            SettingError: If an item has more choices than ``most_choices``.
        """
        most = max((len(prediction.scores) for prediction in predictions), default=0)
        if most > self.most_choices:
            raise SettingError("most_choices", self.most_choices, f"at least {most}, the choices of an item")
        self.scores.append(self._padded([prediction.scores for prediction in predictions], -torch.inf))
        self.lengths.append(self._padded([prediction.lengths for prediction in predictions], 1.0))
        keys = [item_key(prediction) for prediction in predictions]
        labels = [prediction.label for prediction in predictions]
        self.keys.append(torch.tensor(keys, dtype=torch.int64, device=self.device))
        self.labels.append(torch.tensor(labels, dtype=torch.int64, device=self.device))
        self.grades.append(self._padded([(prediction.grade,) for prediction in predictions], torch.nan)[:, 0])

    def compute(self) -> Tensor:
        """Return the metric over the items of all ranks, NaN where there are none."""
        keys, scores, lengths, labels, grades = (
            dim_zero_cat(state).cpu().numpy()
            for state in (self.keys, self.scores, self.lengths, self.labels, self.grades)
        )
        if not len(keys):
            return torch.tensor(torch.nan, device=self.device)
        _, first = np.unique(keys, return_index=True)
        used = np.isfinite(scores[first]).any(axis=0)  # columns that any item has
        items = Outcomes(scores[first][:, used], labels[first], lengths[first][:, used], grades[first])
        return torch.tensor(float(measure(self.name, items)), device=self.device)

    def _padded(self, rows: Sequence[Sequence[float]], filler: float) -> Tensor:
        """Rows of different lengths as ``[items, most_choices]``."""
        dtype = torch.float32 if self.device.type == "mps" else torch.float64  # MPS has no float64
        padded = torch.full((len(rows), self.most_choices), filler, dtype=dtype)
        for index, row in enumerate(rows):
            padded[index, : len(row)] = torch.tensor(row, dtype=dtype)
        return padded.to(self.device)
