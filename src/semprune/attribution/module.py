"""Neuron Semantic Attribution as a LightningModule: learns which neuron carries which concept of a frozen LLM.

Epoch 0 streams the sufficient statistics and solves the encoding model; later epochs learn the same matrix by SGD
from that start, add the document-clustered variances, and train the decoder heads. The frozen model is never a
submodule: it is in no checkpoint, no optimiser and no gradient synchronisation.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any, cast

import lightning
import torch
from scipy.stats import spearmanr
from torch import Tensor

from semprune.attribution.association import Association
from semprune.attribution.concept_norms import ConceptNorms
from semprune.attribution.decoder import Decoder, Selection
from semprune.attribution.fitted import fitted_association
from semprune.attribution.held_out import LEVELS
from semprune.attribution.learner import AttributionLearner, LearnerShape, Observed
from semprune.attribution.monitoring import log_heatmap
from semprune.attribution.outcome import TestOutcome
from semprune.attribution.preparation import prepare
from semprune.attribution.reading import ReadingPrecision
from semprune.backbones import Backbone, load_backbone, neuron_sites
from semprune.concepts import TokenLabeller, load_concepts
from semprune.errors import BackboneMismatchError, ConfigurationError, CorruptArtefactError, PrecisionError
from semprune.pruning import find_method, methods
from semprune.ranks import sum_over_ranks
from semprune.types import DocumentBatch, Fingerprint, ScoringBatch

CHECKPOINT_KEY = "semprune"


class NeuronSemanticAttribution(lightning.LightningModule):
    """Learns the neuron × concept association matrix of a frozen LLM (equations.md S1-S6).

    Attributes:
        lm: The frozen backbone; set it before use to share one that is loaded already.
        learner: Everything that is learned; None until a fit or a checkpoint shapes it.
        condition: Name under which the next test pass is kept: ``dense``, or the pruning method's.
        outcomes: What each test pass found, by condition.
        text: Held-out sequences whose perplexity test passes measure, or None.
        precision: Average precision of each concept on held-out documents, after the last validation.
        watched: Rows of neurons whose raw activations test passes keep.
    """

    def __init__(
        self,
        backbone: str = "smollm2-135m",
        dtype: str = "float32",
        concepts: list[str] = ["default"],  # noqa: B006  # jsonargparse shows the default; it is never changed
        learning_rate: float = 0.05,
        decoder_learning_rate: float = 0.01,
        ridge: float = 1e-4,
        q: float = 0.05,
        decoder_neurons: int = 32,
        sample_tokens: int = 4096,
        sites: list[str] = ["mlp"],  # noqa: B006  # as above
    ) -> None:
        """Keep the settings; the backbone is loaded when it is first needed.

        Args:
            backbone: Embedded name, hub name or local folder of a causal language model.
            dtype: Number format of the frozen model: float32, bfloat16, float16 or auto. Statistics are fp32.
            concepts: Names of token-level concepts; ``default`` stands for a chosen set.
            learning_rate: Of the association, falling linearly to 0. 0.05 keeps concepts of prevalence 0.1 % stable.
            decoder_learning_rate: Of the decoder heads (Adam).
            ridge: λ of the encoding model, relative to unit variance.
            q: False discovery rate of the gate.
            decoder_neurons: Neurons that each decoder head reads.
            sample_tokens: Tokens, over all documents, that the robust standardisation is fitted on.
            sites: Kinds of neurons: mlp (inputs of the down-projections), attention (inputs of the attention's output
                projections, all heads side by side), or both.
        """
        super().__init__()
        self.save_hyperparameters()
        self.automatic_optimization = False
        self.learner: AttributionLearner | None = None
        self.condition = "dense"
        self.outcomes: dict[str, TestOutcome] = {}
        self.watched: list[int] = []
        self.precision: dict[str, float] = {}
        self.text: Tensor | None = None
        self.reading = torch.nn.ModuleDict({level: ReadingPrecision() for level in LEVELS})
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

    # --- set-up -------------------------------------------------------------------------------------------------

    def setup(self, stage: str) -> None:
        """Refuse what would go wrong silently; shape the learner after the data."""
        if str(self.trainer.precision).endswith("-true") and not str(self.trainer.precision).startswith(("32", "64")):
            raise PrecisionError(str(self.trainer.precision))
        if stage != "fit" or self.learner is not None:
            return
        if self.trainer.max_epochs is not None and 0 <= self.trainer.max_epochs < 2:
            raise ConfigurationError(
                f"trainer.max_epochs is {self.trainer.max_epochs}: one epoch solves the association, a second one "
                "learns it and its certainty. Pass --trainer.max_epochs 2 or more."
            )
        data: Any = self.trainer.datamodule  # type: ignore[attr-defined]  # Lightning sets it
        names = tuple(concept.name for concept in load_concepts(self.hparams["concepts"]))
        vocabulary = self.lm.model.get_input_embeddings().num_embeddings
        longest = getattr(data, "max_length", None) or data.length
        self._build(LearnerShape(names, tuple(data.classes), tuple(data.datasets), longest, vocabulary))

    def configure_optimizers(self) -> list[torch.optim.Optimizer]:
        """Plain SGD for the association (its Hessian is known and near 1), Adam for the decoder heads."""
        learner = self._learner()
        encoders = [learner.token.coefficients, learner.sequence.coefficients]
        decoders = [*learner.token_decoder.parameters(), *learner.sequence_decoder.parameters()]
        return [
            torch.optim.SGD(encoders, lr=self.hparams["learning_rate"]),
            torch.optim.Adam(decoders, lr=self.hparams["decoder_learning_rate"]),
        ]

    def _move(self) -> None:
        self.lm.model.to(self.device)
        self.labeller.to(self.device)

    # --- fit ----------------------------------------------------------------------------------------------------

    def on_train_start(self) -> None:
        """Count labels and fit the standardisation, unless a checkpoint brought them."""
        self._move()
        learner = self._learner()
        if learner.token_design.tokens > 0:
            return
        loader = self.trainer.train_dataloader

        def batches() -> Iterator[DocumentBatch]:
            for batch in loader:  # type: ignore[union-attr]
                yield self.trainer.strategy.batch_to_device(batch, self.device)

        prepare(learner, self.lm, self.labeller, batches, self.hparams["sample_tokens"])

    def training_step(self, batch: DocumentBatch, batch_idx: int) -> None:
        """Epoch 0 accumulates; later epochs learn."""
        learner = self._learner()
        seen = learner.observe(batch, self.labeller)
        if self.current_epoch == 0:
            learner.accumulate(self.lm, seen)
        else:
            self._learn(seen, batch_idx)

    def on_train_epoch_end(self) -> None:
        """After epoch 0, solve."""
        if self.current_epoch == 0:
            self._learner().finish_sums()
        elif self.current_epoch == 1:
            self._learner().finish_variance()

    def _learn(self, seen: Observed, batch_idx: int) -> None:
        learner = self._learner()
        studied = learner.study(self.lm, seen, variance=self.current_epoch == 1)
        loss = torch.zeros((), device=self.device)
        for encoder, sums in ((learner.token, studied.token), (learner.sequence, studied.sequence)):
            sum_over_ranks(sums.gram, sums.cross, sums.squares, sums.count)
            loss += encoder.step_loss(sums)
        decoded = self._decoder_gradients(learner.token_decoder, studied.token_selection, seen.targets)
        class_targets = learner.sequence_design.targets(seen.batch)
        decoded += self._decoder_gradients(learner.sequence_decoder, studied.sequence_selection, class_targets)
        self._step(batch_idx)
        self.log_dict({"fit/encoding_loss": loss, "fit/decoder_loss": decoded}, prog_bar=True)

    def _decoder_gradients(self, decoder: Decoder, selection: Selection, targets: Tensor) -> Tensor:
        """Set the head's gradients; summed over ranks by hand, so that n ranks step exactly like one."""
        parameters = list(decoder.parameters())
        loss = decoder.loss(selection.values, targets)
        gradients = torch.autograd.grad(loss, parameters)
        total, count = loss.detach().clone(), (targets >= 0).sum().float()
        sum_over_ranks(total, count, *gradients)
        for parameter, gradient in zip(parameters, gradients, strict=True):
            parameter.grad = gradient / count.clamp(min=1)
        return total / count.clamp(min=1)

    def _step(self, batch_idx: int) -> None:
        optimizers: Any = self.optimizers()
        epochs = (self.trainer.max_epochs or 2) - 1
        done = (self.current_epoch - 1 + batch_idx / self.trainer.num_training_batches) / epochs
        for optimizer, rate in zip(optimizers, ("learning_rate", "decoder_learning_rate"), strict=True):
            for group in optimizer.param_groups:
                group["lr"] = self.hparams[rate] * max(1 - done, 0)
            optimizer.step()

    def validation_step(self, batch: DocumentBatch, batch_idx: int) -> None:
        """Read the concepts back from held-out documents."""
        if self.trainer.sanity_checking or self.current_epoch == 0:
            return  # nothing to read with yet
        learner = self._learner()
        seen = learner.observe(batch, self.labeller)
        token, sequence = learner.read(self.lm, seen)
        self._reading("token").update(token, seen.targets)
        self._reading("sequence").update(sequence, learner.sequence_design.targets(batch))

    def _reading(self, level: str) -> ReadingPrecision:
        return cast(ReadingPrecision, self.reading[level])

    def on_validation_epoch_end(self) -> None:
        """Log average precision per concept, for the gated set and for the best single neuron."""
        if self.trainer.sanity_checking or self.current_epoch == 0:
            return
        shape = self._learner().shape
        for level, names in (("token", shape.concepts), ("sequence", shape.classes)):
            reading = self._reading(level)
            by_set, by_neuron = reading.compute()
            self.precision |= {f"average_precision/{name}": v for name, v in zip(names, by_set, strict=False)}
            self.precision |= {f"single_neuron/{name}": v for name, v in zip(names, by_neuron, strict=False)}
            reading.reset()
        self.log_dict(self.precision)

    def agreement(self) -> float:
        """Spearman correlation of the learned matrix with the closed form, over gated token-level entries."""
        learner, gated = self._learner(), self.association().gate[:, : len(self._learner().shape.concepts)]
        solved = learner.token.closed_form[: learner.token.concepts].T.cpu()
        if int(gated.sum()) < 2:
            return float("nan")
        return float(spearmanr(learner.token.effect.cpu()[gated], solved[gated]).statistic)

    def on_train_end(self) -> None:
        """Write the association beside the logs, and show it."""
        folder = self.trainer.log_dir  # Lightning broadcasts it: every rank must ask
        if not self.trainer.is_global_zero or folder is None:
            return
        association = self.association()
        association.save(Path(folder) / "association.safetensors")
        log_heatmap(self.logger, association, self.global_step)
        if self.logger is not None:
            counts = {"fit/discoveries": float(association.gate.sum()), "fit/closed_form_spearman": self.agreement()}
            self.logger.log_metrics(counts | {"fit/unexplained": float(self._learner().token.unexplained)})

    def association(self) -> Association:
        """The association as it stands."""
        settings = {name: value for name, value in self.hparams.items() if name != "dtype"}
        return fitted_association(
            self._learner(), self.lm.fingerprint, settings | {"dtype": str(self.lm.dtype)}, self.hparams["q"]
        )

    # --- test ---------------------------------------------------------------------------------------------------

    def on_test_start(self) -> None:
        """Begin a pass over items and documents, under whatever masks callbacks have applied."""
        self._move()
        norms = None
        if self.condition == "dense" and self.learner is not None and "mlp" in self.hparams["sites"]:
            shape = self.learner.shape
            norms = ConceptNorms(self.lm, len(shape.concepts) + len(shape.classes))
        self.outcomes[self.condition] = TestOutcome(self.learner, self.watched, norms)

    def test_step(self, batch: ScoringBatch | DocumentBatch, batch_idx: int, dataloader_idx: int = 0) -> None:
        """Score items; measure associations on held-out documents."""
        outcome = self.outcomes[self.condition]
        if isinstance(batch, ScoringBatch):
            outcome.scorer.update(self.lm.model, batch)
        elif self.learner is not None:
            outcome.add_documents(self.lm, self.learner.observe(batch, self.labeller))

    def on_test_epoch_end(self) -> None:
        """Gather over ranks, and log metrics and losses."""
        outcome = self.outcomes[self.condition]
        outcome.finish()
        if self.text is not None:
            outcome.read_text(self.lm, self.text)
        if self.learner is not None and self.condition in methods() and find_method(self.condition).changes_weights:
            outcome.keep_weights(self.lm)
        dense = self.outcomes.get("dense") if self.condition != "dense" else None
        if self.logger is not None:
            association = self.association() if self.learner is not None and dense is not None else None
            self.logger.log_metrics(
                {f"test/{self.condition}/{name}": value for name, value in outcome.scalars(dense, association).items()}
            )

    # --- checkpoints --------------------------------------------------------------------------------------------

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add what shapes the learner, and the backbone's fingerprint."""
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
        self.precision = dict(stored["precision"])
