"""The test stage of the attribution: passes over items and held-out documents, dense or pruned."""

from __future__ import annotations

from torch import Tensor

from semprune.attribution.association_module import AssociationModule
from semprune.attribution.semantic_loss.concept_norms import ConceptNorms
from semprune.attribution.test_pass import TestOutcome
from semprune.data.batches.batching import ItemBatch
from semprune.pruning import find_method, methods
from semprune.types import DocumentBatch


class MeasuredModule(AssociationModule):
    """Measures a model as it is: each test pass is kept under the name of its condition.

    Attributes:
        condition: Name under which the next test pass is kept: ``dense``, or the pruning method's.
        outcomes: What each test pass found, by condition.
        text: Held-out sequences whose perplexity test passes measure, or None.
        losses: Further semantic losses that are measured after a pruned pass (``further_losses``).
        watched: Rows of neurons whose raw activations test passes keep.
    """

    def __init__(self) -> None:
        """Start without passes."""
        super().__init__()
        self.condition = "dense"
        self.outcomes: dict[str, TestOutcome] = {}
        self.watched: list[int] = []
        self.losses: list[str] = []
        self.text: Tensor | None = None

    def on_test_start(self) -> None:
        """Begin a pass over items and documents, under whatever masks callbacks have applied."""
        self._move()
        norms = None
        if self.condition == "dense" and self.learner is not None and "mlp" in self.hparams["sites"]:
            shape = self.learner.shape
            norms = ConceptNorms(self.lm, len(shape.concepts) + len(shape.classes))
        self.outcomes[self.condition] = TestOutcome(self.learner, self.watched, norms)

    def test_step(self, batch: ItemBatch | DocumentBatch, batch_idx: int, dataloader_idx: int = 0) -> None:
        """Score items; measure associations on held-out documents."""
        outcome = self.outcomes[self.condition]
        if isinstance(batch, ItemBatch):
            outcome.scorer.update(self.lm.model, batch.items)
        elif self.learner is not None:
            outcome.add_documents(self.lm, self.learner.observe(batch, self.labeller))

    def on_test_epoch_end(self) -> None:
        """Gather over ranks, and log metrics and losses."""
        outcome = self.outcomes[self.condition]
        outcome.finish()
        if self.text is not None:
            outcome.read_text(self.lm, self.text)
        if self.learner is not None and self.condition in methods() and find_method(self.condition).changes_weights:
            outcome.keep_weights(self.lm, attention=bool(self.losses))
        dense = self.outcomes.get("dense") if self.condition != "dense" else None
        if self.logger is not None:
            association = self.association() if self.learner is not None and dense is not None else None
            self.logger.log_metrics(
                {f"test/{self.condition}/{name}": value for name, value in outcome.scalars(dense, association).items()}
            )
