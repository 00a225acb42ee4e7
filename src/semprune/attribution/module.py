"""Neuron Semantic Attribution as a LightningModule: learns which neuron carries which concept of a frozen LLM.

Epoch 0 streams the sufficient statistics and solves the encoding model; later epochs learn the same matrix by SGD
from that start, add the document-clustered variances, and train the decoder heads. A test pass measures the model as
it is, dense or pruned. The hooks decide only when; what is computed is in ``fit``, ``held_out`` and ``test_pass``. The
frozen model is never a submodule: it is in no checkpoint, no optimiser and no gradient synchronisation.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import torch

from semprune.attribution.association.association import Association
from semprune.attribution.association.fitted_documents import FittedDocuments
from semprune.attribution.fit.checkpoint import StoredFit, gather_streaming, require_state, share_out_streaming
from semprune.attribution.fit.evidence import fittable_concepts
from semprune.attribution.fit.fitted import agreement, fitted_association
from semprune.attribution.fit.learner import AttributionLearner, LearnerShape
from semprune.attribution.fit.learning_step import learning_step, remaining, set_rates
from semprune.attribution.fit.preparation import prepare
from semprune.attribution.gate_stage import GateStage
from semprune.attribution.gates.settings import GateSettings
from semprune.attribution.held_out.precision import HeldOutPrecision
from semprune.attribution.measured import MeasuredModule
from semprune.attribution.monitoring import concept_examples, log_association, log_curves
from semprune.backbones import neuron_sites
from semprune.concepts import load_concepts
from semprune.data import DocumentDataModule
from semprune.data.modules.contract import document_batch_of, fit_data
from semprune.errors import ConfigurationError, NonFiniteError, PrecisionError
from semprune.ranges import checked
from semprune.types import Count, DocumentBatch, Filled, Level, NonNegative, Positive, Share


class NeuronSemanticAttribution(MeasuredModule):
    """Learns the neuron × concept association matrix of a frozen LLM (equations.md S1-S6).

    Attributes:
        precision: Average precision of each concept on held-out documents, after the last validation.
        gates: Learns the causal half of the association (equations.md S8), or None.
    """

    @checked
    def __init__(
        self,
        backbone: str = "smollm2-135m",
        dtype: str = "float32",
        concepts: Annotated[list[str], Filled("one concept or more")] = ["default"],  # noqa: B006  # jsonargparse shows the default; it is never changed
        learning_rate: Positive = 0.05,
        decoder_learning_rate: Positive = 0.01,
        ridge: NonNegative = 1e-4,
        q: Level = 0.05,
        decoder_neurons: Count = 32,
        sample_tokens: Count = 4096,
        sites: Annotated[list[str], Filled("one kind of neurons or more")] = ["mlp"],  # noqa: B006  # as above
        gates: list[str] | None = None,
        gate_share: Share = GateSettings.share,
        gate_budget: Positive = GateSettings.budget,
        gate_steps: Count = GateSettings.steps,
    ) -> None:
        """Keep the settings; the backbone is loaded when it is first needed.

        Args:
            backbone: Embedded name, hub name, local folder or GGUF file of a causal language model.
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
            gates: Concepts whose causal gates are learned too: classes of the fitting data sets, of two classes
                either is the order of both, and concepts of words among ``concepts``, as in
                [amazon_reviews.positive, language.negation]. null for none.
            gate_share: Share of all neurons whose gates close, of each of them.
            gate_budget: Most divergence from the dense model on other text, in nats per token; its price follows it.
            gate_steps: Steps that the gates are learned in, spread over all epochs but the first.
        """
        super().__init__()
        self.save_hyperparameters()
        self.automatic_optimization = False
        self.precision: dict[str, float] = {}
        self.gates: GateStage | None = None
        if gates:
            settings = GateSettings(share=gate_share, budget=gate_budget, steps=gate_steps)
            self.gates = GateStage(gates, settings)
        self._validation = HeldOutPrecision()
        self._goes_on = False

    def association(self) -> Association:
        """The association as it stands; see :func:`~semprune.attribution.fit.fitted.fitted_association` for errors."""
        settings = {**self.hparams, "dtype": str(self.lm.dtype)}
        found = fitted_association(self._fitted(), self.lm.fingerprint, settings, self.hparams["q"], self.fitted)
        return found if self.gates is None else replace(found, gates=self.gates.scores(found))

    def agreement(self) -> float:
        """Spearman correlation of the learned matrix with the closed form, over gated token-level entries."""
        return agreement(self._fitted(), self.association())

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
        offered = fit_data(data)
        if self.gates is not None:
            self.gates.check(data, [concept.name for concept in load_concepts(self.hparams["concepts"])])
        batches = map(document_batch_of, data.train_dataloader())
        names = fittable_concepts(self.lm, self.hparams["concepts"], batches, self.trainer.strategy.root_device)
        if self.gates is not None:
            self.gates.check(data, names)  # without those that the documents show too little of
        vocabulary = self.lm.model.get_input_embeddings().num_embeddings
        self._shape(LearnerShape(names, offered.classes, offered.datasets, offered.longest, vocabulary))
        if isinstance(data, DocumentDataModule):
            self.fitted = FittedDocuments.of(data.train_documents, data.datasets, data.validation_share, data.seed)

    def configure_optimizers(self) -> list[torch.optim.Optimizer]:
        """Plain SGD for the association (its Hessian is known and near 1), Adam for the decoder heads."""
        learner = self._fitted()
        encoders = [learner.token.coefficients, learner.sequence.coefficients]
        decoders = [*learner.token_decoder.parameters(), *learner.sequence_decoder.parameters()]
        return [
            torch.optim.SGD(encoders, lr=self.hparams["learning_rate"]),
            torch.optim.Adam(decoders, lr=self.hparams["decoder_learning_rate"]),
        ]

    def on_train_start(self) -> None:
        """Count labels and fit the standardisation, unless a checkpoint brought them."""
        self._move()
        learner = self._fitted()
        self._goes_on = bool(learner.token_design.tokens > 0)
        if not self._goes_on:
            prepare(learner, self.lm, self.labeller, self._training_batches, self.hparams["sample_tokens"])

    def training_step(self, batch: DocumentBatch, batch_idx: int) -> None:
        """Epoch 0 accumulates; later epochs learn."""
        learner = self._fitted()
        optimizers: Any = self.optimizers()
        if self._goes_on:
            share_out_streaming(learner)
            self._goes_on = False
        labelled = learner.labelled(batch, self.labeller)
        if self.current_epoch == 0:
            learner.accumulate(self.lm, labelled)
        else:
            self.log_dict(learning_step(learner, self.lm, labelled, variance=self.current_epoch == 1), prog_bar=True)
            batches, epochs = int(self.trainer.num_training_batches), self.trainer.max_epochs or 2
            rates = self.hparams["learning_rate"], self.hparams["decoder_learning_rate"]
            set_rates(optimizers, rates, remaining(self.current_epoch, batch_idx, batches, epochs))
            self.log_dict(self._advance_gates(1 - remaining(self.current_epoch, batch_idx + 1, batches, epochs)))
        for optimizer in optimizers:
            optimizer.step()  # without gradients, in epoch 0, nothing moves; but the step counts, so it can be saved

    def on_train_epoch_end(self) -> None:
        """Solve after epoch 0; finish the variances after epoch 1."""
        if self.current_epoch == 0:
            self._fitted().finish_sums()
        elif self.current_epoch == 1:
            self._fitted().finish_variance()

    def validation_step(self, batch: DocumentBatch, batch_idx: int) -> None:
        """Read the concepts back from held-out documents."""
        if self.trainer.sanity_checking or self.current_epoch == 0:
            return  # nothing to read with yet
        learner = self._fitted()
        self._validation.update(learner, self.lm, learner.labelled(batch, self.labeller))

    def on_validation_epoch_end(self) -> None:
        """Log average precision per concept, for the gated set and for the best single neuron."""
        if self.trainer.sanity_checking or self.current_epoch == 0:
            return
        shape = self._fitted().shape
        self.precision = self._validation.finish({"token": shape.concepts, "sequence": shape.classes})
        self.log_dict(self.precision)
        if self.trainer.is_global_zero:
            log_curves(self.logger, self._validation.curves, self.global_step)

    def on_train_end(self) -> None:
        """Write the association beside the logs, and show it."""
        if int(self._fitted().stage):
            self._advance_gates(1.0)  # those that a fit that stopped early has left
        folder = self.trainer.log_dir  # Lightning broadcasts it: every rank must ask
        if not self.trainer.is_global_zero or folder is None or self.trainer.fast_dev_run:  # type: ignore[attr-defined]  # as above
            return
        learner, association = self._fitted(), self.association()
        association.save(Path(folder) / "association.safetensors")
        examples = concept_examples(self._validation.examples, learner, association, self.lm.tokenizer)
        log_association(self.logger, association, examples, self.global_step)
        if self.logger is not None:
            counts = {"fit/discoveries": float(association.gate.sum()), "fit/closed_form_spearman": self.agreement()}
            self.logger.log_metrics(counts | {"fit/unexplained": float(learner.token.unexplained)})

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add what shapes the learner, and the backbone's fingerprint.

        Raises:
            NonFiniteError: Learning diverged; nothing is written.
        """
        learner = self._fitted()
        if not all(each.coefficients.isfinite().all() for each in (learner.token, learner.sequence)):
            raise NonFiniteError("the learned association", "Lower `model.learning_rate`: the fit diverged.")
        gather_streaming(learner, checkpoint["state_dict"])
        if self.gates is not None:
            self.gates.add_to(checkpoint)
        StoredFit(learner.shape, self.lm.fingerprint, self.precision, self.fitted).add_to(checkpoint)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Shape the learner after the checkpoint; refuse another backbone's, or something else altogether."""
        stored = StoredFit.of(checkpoint)
        asked = self.learner.shape if self.learner is not None else None
        stored.require(self.lm.fingerprint, asked, self.fitted)
        self.fitted = stored.fitted or self.fitted
        if self.gates is not None:
            self.gates.take_from(checkpoint)
        self._shape(stored.shape)
        require_state(self._fitted(), checkpoint["state_dict"])
        self.precision = self._validation.precision = stored.precision

    def _fitted(self) -> AttributionLearner:
        if self.learner is None:
            raise ConfigurationError("no association yet: fit one, or pass --ckpt_path of a fit.")
        return self.learner

    def _advance_gates(self, share: float) -> dict[str, float]:
        if self.gates is None:
            return {}
        learner, data = self._fitted(), self.trainer.datamodule  # type: ignore[attr-defined]  # as above
        words, mean = self.labeller.concepts, learner.standardiser.mean
        return self.gates.advance(share, self.lm, data, words, learner.sites, mean)

    def _shape(self, shape: LearnerShape) -> None:
        kinds = tuple(self.hparams["sites"])
        sites = self.lm.sites if kinds == ("mlp",) else neuron_sites(self.lm.model, self.lm.family, kinds)
        self.learner = AttributionLearner(shape, sites, self.hparams["ridge"], self.hparams["decoder_neurons"])

    def _training_batches(self) -> Iterator[DocumentBatch]:
        for batch in self.trainer.train_dataloader:  # type: ignore[union-attr]
            yield self.trainer.strategy.batch_to_device(document_batch_of(batch), self.device)
