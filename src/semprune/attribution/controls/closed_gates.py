"""What closing gates costs: the order of a class's items in each wording, and divergence on other text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from semprune.attribution.ablation.neuron_sets import replacements
from semprune.attribution.association.neurons import NeuronIndex
from semprune.backbones import Backbone, ablate, capture
from semprune.errors import SettingError
from semprune.evaluation import dense_text, predict_items, token_fidelity
from semprune.statistics.auroc import binary_auroc
from semprune.statistics.bootstrap import Statistic
from semprune.statistics.weighting import Array
from semprune.types import Item, NeuronSite


def mean_activations(lm: Backbone, texts: Sequence[Int[Tensor, "windows tokens"]]) -> Float[Tensor, " neurons"]:
    """Mean of each MLP neuron over windows; the first position, where the attention sink is, does not count."""
    index = NeuronIndex(lm.sites)
    total, count = torch.zeros(len(index), dtype=torch.float64), sum(text[:, 1:].numel() for text in texts)

    def add(site: NeuronSite, activations: Tensor) -> None:
        total[index.where(site)] += activations[:, 1:].double().sum((0, 1)).cpu()

    with torch.no_grad(), capture(lm.model, lm.sites, add):
        for text in texts:
            for ids in text.split(8):
                lm.model.base_model(input_ids=ids.to(lm.device), use_cache=False)
    return (total / count).float()


@dataclass(frozen=True)
class Reading:
    """A model's answers to items, and its divergence from the dense one on text.

    Attributes:
        odds: Of the class against the other choices, of each item.
        divergence: Nats per token.
    """

    odds: Float[np.ndarray, " items"]
    divergence: float


class ClassReader:
    """Reads items of a class and a text, with or without closed gates.

    Attributes:
        table: Data set, wording and document of each item, in the order of the readings.
        inside: Which items are of the class.
        dense: The dense model's reading.
    """

    def __init__(
        self,
        lm: Backbone,
        items: Sequence[Item],
        choices: Mapping[str, int],
        text: Int[Tensor, "sequences tokens"],
        token_budget: int = 4096,
    ) -> None:
        """Read with the dense model.

        Args:
            lm: The dense backbone.
            items: Held out.
            choices: Of each of their data sets, the choice that stands for the class.
            text: Held out, without padding.
            token_budget: Padded tokens of a scoring batch.

        Raises:
            SettingError: There is no item of the class, or none of another.
            NonFiniteError: The model gives NaN or infinite log-probabilities.
        """
        self._lm, self._items, self._choices, self._budget = lm, items, choices, token_budget
        self._text = text.to(lm.device)
        predictions = predict_items(lm, items, token_budget=token_budget)
        self.table = predictions[["dataset", "prompt", "document_id"]]
        self.inside: Bool[np.ndarray, " items"] = (
            predictions["label"] == predictions["dataset"].map(dict(choices))
        ).to_numpy()
        for name, own in self.table.groupby("dataset"):
            inside = self.inside[own.index]
            if inside.all() or not inside.any():
                raise SettingError("datasets", str(name), "with items of the class and of others: raise `limit`")
        self._states = dense_text(lm.model, self._text).states
        self.dense = Reading(self._odds(predictions), 0.0)

    def _odds(self, predictions: pd.DataFrame) -> Float[np.ndarray, " items"]:
        each = zip(predictions["dataset"].map(dict(self._choices)), map(np.array, predictions["scores"]), strict=True)
        return np.array([scores[choice] - np.delete(scores, choice).mean() for choice, scores in each])

    def closed(self, mean: Float[Tensor, " neurons"], rows: Int[Tensor, " k"]) -> Reading:
        """With neurons held at their means."""
        with ablate(self._lm.model, replacements(self._lm.sites, mean, rows)):
            predictions = predict_items(self._lm, self._items, token_budget=self._budget)
            divergence = token_fidelity(self._lm.model, self._text, self._states).divergence
        return Reading(self._odds(predictions), float(divergence.double().mean()))

    def documents(self, chosen: Bool[np.ndarray, " items"]) -> list[str]:
        """Document of each chosen item."""
        own = self.table[chosen]
        return (own["dataset"] + "/" + own["document_id"].astype(str)).tolist()

    def auroc(self, odds: Float[np.ndarray, " items"], chosen: Bool[np.ndarray, " items"]) -> Statistic:
        """AUROC of chosen items, mean over data sets and wordings."""
        own = self.table[chosen].reset_index(drop=True)
        groups = [group.index.to_numpy() for _, group in own.groupby(["dataset", "prompt"])]
        ranking, positive = odds[chosen], self.inside[chosen]

        def statistic(weights: Float[np.ndarray, "resamples items"]) -> Array:
            each = [binary_auroc(ranking[group], positive[group], weights[:, group]) for group in groups]
            mean: Array = np.mean(each, axis=0)
            return mean

        return statistic
