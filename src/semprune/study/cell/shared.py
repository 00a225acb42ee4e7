"""What all cells of a study share, made once per process: model, association, data, dense statistics."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import pandas as pd
import torch

from semprune.artefacts import Cell, split_calibration
from semprune.attribution import Association, NeuronSemanticAttribution, TestPass
from semprune.attribution.association.fitted_documents import require_held_out
from semprune.attribution.fit.learner import AttributionLearner, LabelledBatch
from semprune.attribution.neurons.watch import card_rows, neuron_table
from semprune.backbones import Backbone, load_backbone
from semprune.backbones.hardware import resolve_dtype
from semprune.data.batches.encoding import padding_token
from semprune.evaluation.engine.request_scorer import FIRST_BUDGET, Engine
from semprune.evaluation.predictions.prediction import prediction_table
from semprune.evaluation.predictions.score_items import score_items
from semprune.pruning import CollectedStatistics, PruneReport, dense_statistics, find_method, prune_from, prune_model
from semprune.pruning.guidance.protection import Protection, parse_protection
from semprune.pruning.guidance.strength import AUTO
from semprune.pruning.in_memory.dense_statistics import masses_lost
from semprune.pruning.weights.linear import WeightCopy
from semprune.study.cell.study_data import StudyData
from semprune.study.config.schema import BackboneConfig, StudyConfig
from semprune.study.store.addresses import Draw
from semprune.types import TokenBudget

FLOOR_ITEMS = 32
"""So many items of each data set the dense model answers a second time (ours)."""


@dataclass
class SharedInputs:
    """A loaded backbone with everything that is the same for all of a study's cells.

    Attributes:
        config: The study.
        lm: Its model, dense whenever no cell is being measured.
        module: The fitted association.
        data: What is measured on.
    """

    config: StudyConfig
    lm: Backbone
    module: NeuronSemanticAttribution
    data: StudyData
    _statistics: dict[Draw, CollectedStatistics] = field(default_factory=dict)
    _dense: TestPass | None = None

    @cached_property
    def association(self) -> Association:
        """The fitted association."""
        return self.module.association()

    @cached_property
    def cards(self) -> pd.DataFrame:
        """Each concept's strongest neurons."""
        return neuron_table(self.association, self.config.neurons_per_concept)

    @cached_property
    def watched(self) -> list[int]:
        """Rows of the neurons whose raw activations are kept."""
        return card_rows(self.association, self.config.neurons_per_concept)

    @cached_property
    def observed(self) -> list[LabelledBatch]:
        """Held-out documents as labelled batches.

        Raises:
            FittedDocumentError: The stored association was fitted on some of them.
        """
        require_held_out(self.module.fitted, self.data.documents.val_documents)
        return [self.learner.labelled(batch, self.module.labeller) for batch in self.data.held_out]

    @cached_property
    def _dense_weights(self) -> WeightCopy:
        return WeightCopy(self.lm.model)

    @cached_property
    def yardstick(self) -> CollectedStatistics:
        """Norms of the dense model's inputs on the held-out text, which the masks of all cells are weighed with."""
        return dense_statistics(self.lm.model, self.data.text.to(self.lm.device), needs="squares")

    def masses_lost(self, report: PruneReport) -> dict[str, float]:
        """Share of the Wanda mass on the held-out text that a pruning removes of each matrix."""
        return masses_lost(self._dense_weights, report.masks, self.yardstick)

    def shares_statistics(self, cell: Cell) -> bool:
        """Whether a cell is pruned from dense statistics that others are pruned from, too; not to choose a strength."""
        kept = protected(cell)
        chooses = kept is not None and kept.strength == AUTO
        return bool(cell.calibration) and self.config.statistics == "dense" and not chooses

    def statistics(self, cell: Cell) -> CollectedStatistics:
        """Dense statistics that all methods of the study can prune from; those of the last calibration are kept."""
        if cell.draw not in self._statistics:
            self._statistics.clear()  # 0.4 GB for a small model
            ids = self.data.calibration(cell.draw).calibration_input_ids().to(self.lm.device)
            methods = [method for method in self.config.methods if find_method(method).needs_statistics]
            kept = protected(cell)
            self._statistics[cell.draw] = dense_statistics(self.lm, ids, methods=methods, protect=kept)
        return self._statistics[cell.draw]

    @cached_property
    def learner(self) -> AttributionLearner:
        """The fitted learner."""
        assert self.module.learner is not None  # they are made of a fitted module
        return self.module.learner

    def dense_pass(self, read: Callable[[], TestPass]) -> TestPass:
        """The dense pass over documents, read once."""
        if self._dense is None:
            self._dense = read()
        return self._dense

    @contextmanager
    def pruned(self, cell: Cell) -> Iterator[PruneReport | None]:
        """The model pruned as a cell says; dense again afterwards. None for the dense cell, which changes nothing."""
        if cell.method == "dense":
            yield None
            return
        dense, _ = self._dense_weights, self.yardstick  # both while the model is dense
        try:
            yield self._prune(cell)
        finally:
            dense.write_back()

    def score(self, dataset: str) -> pd.DataFrame:
        """Predictions of one data set, by the model as it is now."""
        engine = Engine(self.lm.model, padding_token(self.lm.tokenizer), self.config.token_budget)
        return prediction_table(score_items(engine, self.data.datasets[dataset]))

    def score_again(self, dataset: str) -> pd.DataFrame:
        """Predictions of a data set's first :data:`FLOOR_ITEMS` items in batches of a quarter of the tokens."""
        budget: TokenBudget = self.config.token_budget
        if budget == "auto":
            budget = FIRST_BUDGET.get(self.lm.device.type, FIRST_BUDGET["cpu"])
        engine = Engine(self.lm.model, padding_token(self.lm.tokenizer), max(1, int(budget) // 4))
        return prediction_table(score_items(engine, self.data.datasets[dataset][:FLOOR_ITEMS]))

    def _prune(self, cell: Cell) -> PruneReport:
        if not cell.calibration:
            return prune_model(self.lm.model, None, method=cell.method, **cell.settings)
        if self.shares_statistics(cell):
            return prune_from(self.lm.model, self.statistics(cell), method=cell.method, **cell.settings)
        ids = self.data.calibration(cell.draw).calibration_input_ids().to(self.lm.device)
        how: dict[str, Any] = {"protect": protected(cell), "statistics": self.config.statistics, **cell.settings}
        return prune_model(self.lm, ids, method=cell.method, **how)


def protected(cell: Cell) -> Protection | None:
    """What a cell's pruning keeps."""
    name = split_calibration(cell.calibration)[1]
    return parse_protection(name) if name else None


def load_model(config: BackboneConfig) -> Backbone:
    """Load a study's model; ``auto`` asks the device that will compute, not the one where it is loaded."""
    dtype = str(resolve_dtype(config.dtype, _device())).removeprefix("torch.")
    return load_backbone(config.name, dtype=dtype)


def to_device(lm: Backbone, module: NeuronSemanticAttribution) -> None:
    """Move model and association to the GPU, where there is one."""
    device = _device()
    module.to(device)
    lm.model.to(device)
    module.labeller.to(device)


def _device() -> torch.device:
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")
