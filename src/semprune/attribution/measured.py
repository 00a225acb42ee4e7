"""A frozen backbone inside of a LightningModule, and what a test pass measures of it as it is, dense or pruned."""

from __future__ import annotations

import lightning

from semprune.attribution.association.association import Association
from semprune.attribution.association.fitted_documents import FittedDocuments, require_held_out
from semprune.attribution.fit.learner import AttributionLearner
from semprune.attribution.test_pass import TestPass
from semprune.backbones import Backbone, load_backbone
from semprune.backbones.hardware import resolve_dtype
from semprune.concepts import TokenLabeller, load_concepts
from semprune.data import DocumentDataModule
from semprune.data.batches.batching import ItemBatch
from semprune.data.modules.contract import document_batch_of
from semprune.types import DocumentBatch


class MeasuredModule(lightning.LightningModule):
    """Holds the backbone, which is in no checkpoint, and runs test passes; who inherits it learns.

    Attributes:
        lm: The frozen backbone; set it before use to share one that is loaded already.
        learner: Everything that is learned; None until a fit or a checkpoint shapes it.
        fitted: The documents that the learner is fitted on; None where that is not known.
        condition: Name under which the next test pass is kept: ``dense``, or the pruning method's.
        outcomes: What each test pass found, by condition.
        losses: Further semantic losses that are measured after a pruned pass (``further_losses``).
        watched: Rows of neurons whose raw activations test passes keep.
    """

    def __init__(self) -> None:
        """Start without a backbone; the settings that name it are the heir's hyperparameters."""
        super().__init__()
        self.learner: AttributionLearner | None = None
        self.fitted: FittedDocuments | None = None
        self.condition = "dense"
        self.outcomes: dict[str, TestPass] = {}
        self.losses: list[str] = []
        self.watched: list[int] = []
        self._lm: Backbone | None = None
        self._labeller: TokenLabeller | None = None

    @property
    def lm(self) -> Backbone:
        """The frozen backbone, loaded on first use."""
        if self._lm is None:
            device = self.device if self._trainer is None else self.trainer.strategy.root_device
            dtype = str(resolve_dtype(self.hparams["dtype"], device)).removeprefix("torch.")
            self._lm = load_backbone(self.hparams["backbone"], dtype=dtype)
        return self._lm

    @lm.setter
    def lm(self, backbone: Backbone) -> None:
        self._lm = backbone

    @property
    def labeller(self) -> TokenLabeller:
        """Token-level labels of the learner's concepts."""
        if self._labeller is None:
            concepts = load_concepts(self.hparams["concepts"])
            fitted = tuple(c.name for c in concepts) if self.learner is None else self.learner.shape.concepts
            concepts = tuple(concept for concept in concepts if concept.name in fitted)  # all that have evidence
            if tuple(concept.name for concept in concepts) != fitted:
                concepts = load_concepts(fitted)  # a checkpoint's, under other settings
            self._labeller = TokenLabeller(concepts, self.lm.tokenizer).to(self.device)
        return self._labeller

    def association(self) -> Association:
        """The association as it stands."""
        raise NotImplementedError

    def on_test_start(self) -> None:
        """Begin a pass over items and documents, under whatever masks callbacks have applied.

        Raises:
            FittedDocumentError: Documents to read as held out were fitted.
        """
        held_out = getattr(self.trainer.datamodule, "documents", None)  # type: ignore[attr-defined]  # as above
        if isinstance(held_out, DocumentDataModule) and self.learner is not None and self.condition == "dense":
            require_held_out(self.fitted, held_out.val_documents)
        self._move()
        norms = self.condition == "dense" and "mlp" in self.hparams["sites"]
        self.outcomes[self.condition] = TestPass.begin(self.lm, self.learner, self.watched, norms=norms)

    def test_step(self, batch: ItemBatch | DocumentBatch, batch_idx: int, dataloader_idx: int = 0) -> None:
        """Score items; measure associations on held-out documents."""
        test_pass = self.outcomes[self.condition]
        if isinstance(batch, ItemBatch):
            test_pass.scorer.update(self.lm.model, batch.items)
        elif document_batch_of(batch) and self.learner is not None:
            test_pass.add_documents(self.lm, self.learner.labelled(batch, self.labeller))

    def on_test_epoch_end(self) -> None:
        """Gather over ranks, and log metrics and losses."""
        test_pass = self.outcomes[self.condition]
        test_pass.finish()
        scorable = getattr(self.trainer.datamodule, "scorable", None)  # type: ignore[attr-defined]  # Lightning sets it
        if scorable is not None:
            test_pass.left_out = scorable.counts
        if self.learner is not None:
            test_pass.keep_moved_weights(self.lm, self.condition, attention=bool(self.losses))
        if self.logger is not None:
            dense = self.outcomes.get("dense") if self.condition != "dense" else None
            association = self.association() if self.learner is not None and dense is not None else None
            found = test_pass.scalars(dense, association)
            self.logger.log_metrics({f"test/{self.condition}/{name}": value for name, value in found.items()})

    def _move(self) -> None:
        self.lm.model.to(self.device)
        self.labeller.to(self.device)
