"""The state that all stages of the attribution share: frozen backbone, labels, learner, checkpoints."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import lightning
from scipy.stats import spearmanr

from semprune.attribution.association.association import Association
from semprune.attribution.fit.checkpoint import gather_streaming, require_state
from semprune.attribution.fit.fitted import fitted_association
from semprune.attribution.fit.learner import AttributionLearner, LearnerShape
from semprune.attribution.held_out.reading import HeldOutReading
from semprune.backbones import Backbone, load_backbone, neuron_sites
from semprune.concepts import TokenLabeller, load_concepts
from semprune.errors import BackboneMismatchError, ConfigurationError, CorruptArtefactError
from semprune.types import Fingerprint

CHECKPOINT_KEY = "semprune"


class AssociationModule(lightning.LightningModule):
    """Holds a frozen backbone, which is in no checkpoint, and what is learned about it.

    Attributes:
        learner: Everything that is learned; None until a fit or a checkpoint shapes it.
        precision: Average precision of each concept on held-out documents, after the last validation.
        reading: What a validation finds.
    """

    def __init__(self) -> None:
        """Start without backbone and learner; subclasses save their settings as hyper-parameters."""
        super().__init__()
        self.automatic_optimization = False
        self.learner: AttributionLearner | None = None
        self.precision: dict[str, float] = {}
        self.reading = HeldOutReading()
        self._lm: Backbone | None = None
        self._labeller: TokenLabeller | None = None

    @property
    def lm(self) -> Backbone:
        """The frozen backbone, loaded on first use."""
        if self._lm is None:
            self._lm = load_backbone(self.hparams["backbone"], dtype=self.hparams["dtype"])
        return self._lm

    @lm.setter
    def lm(self, backbone: Backbone) -> None:
        self._lm = backbone

    @property
    def labeller(self) -> TokenLabeller:
        """Token-level labels of the learner's concepts."""
        if self._labeller is None:
            concepts = load_concepts(self.hparams["concepts"])
            if self.learner is not None and tuple(c.name for c in concepts) != self.learner.shape.concepts:
                concepts = load_concepts(self.learner.shape.concepts)  # a checkpoint's, under other settings
            self._labeller = TokenLabeller(concepts, self.lm.tokenizer).to(self.device)
        return self._labeller

    def _learner(self) -> AttributionLearner:
        if self.learner is None:
            raise ConfigurationError("no association yet: fit one, or pass --ckpt_path of a fit.")
        return self.learner

    def _build(self, shape: LearnerShape) -> None:
        settings = self.hparams
        kinds = tuple(settings["sites"])
        sites = self.lm.sites if kinds == ("mlp",) else neuron_sites(self.lm.model, self.lm.family, kinds)
        self.learner = AttributionLearner(shape, sites, settings["ridge"], settings["decoder_neurons"])

    def _move(self) -> None:
        self.lm.model.to(self.device)
        self.labeller.to(self.device)

    def agreement(self) -> float:
        """Spearman correlation of the learned matrix with the closed form, over gated token-level entries."""
        learner, gated = self._learner(), self.association().gate[:, : len(self._learner().shape.concepts)]
        solved = learner.token.closed_form[: learner.token.concepts].T.cpu()
        if int(gated.sum()) < 2:
            return float("nan")
        return float(spearmanr(learner.token.effect.cpu()[gated], solved[gated]).statistic)

    def association(self) -> Association:
        """The association as it stands."""
        settings = {name: value for name, value in self.hparams.items() if name != "dtype"}
        return fitted_association(
            self._learner(), self.lm.fingerprint, settings | {"dtype": str(self.lm.dtype)}, self.hparams["q"]
        )

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add what shapes the learner, and the backbone's fingerprint."""
        gather_streaming(self._learner(), checkpoint["state_dict"])
        checkpoint[CHECKPOINT_KEY] = {
            "shape": asdict(self._learner().shape),
            "fingerprint": asdict(self.lm.fingerprint),
            "precision": self.precision,
        }

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Shape the learner after the checkpoint; refuse another backbone's, or something else altogether."""
        stored = checkpoint.get(CHECKPOINT_KEY)
        if not stored:
            raise CorruptArtefactError(
                "the checkpoint", "it holds no association", "Pass a checkpoint that `semprune fit` wrote."
            )
        fingerprint = Fingerprint(**stored["fingerprint"])
        if fingerprint != self.lm.fingerprint:
            raise BackboneMismatchError("the checkpoint", str(fingerprint), str(self.lm.fingerprint))
        shape = LearnerShape(**stored["shape"])
        if self.learner is not None and self.learner.shape != shape:
            raise ConfigurationError(
                f"the checkpoint was fitted with {self.learner.shape}, this run asks for {shape}. "
                "Resume with the configuration of the first run."
            )
        self._build(shape)
        require_state(self._learner(), checkpoint["state_dict"])
        self.precision = self.reading.precision = dict(stored["precision"])
