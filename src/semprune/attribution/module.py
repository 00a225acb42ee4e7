"""Neuron Semantic Attribution as a LightningModule: learns which neuron carries which concept of a frozen LLM.

Epoch 0 streams the sufficient statistics and solves the encoding model; later epochs learn the same matrix by SGD
from that start, add the document-clustered variances, and train the decoder heads. The frozen model is never a
submodule: it is in no checkpoint, no optimiser and no gradient synchronisation.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from semprune.attribution.association.association import Association
from semprune.attribution.fit.checkpoint import share_out_streaming
from semprune.attribution.fit.learner import LearnerShape
from semprune.attribution.fit.learning import remaining, set_gradients
from semprune.attribution.fit.preparation import prepare
from semprune.attribution.measured_module import MeasuredModule
from semprune.attribution.monitoring import example_table, log_association, log_curves
from semprune.concepts import load_concepts
from semprune.errors import ConfigurationError, PrecisionError
from semprune.types import DocumentBatch


class NeuronSemanticAttribution(MeasuredModule):
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
        self._goes_on = False

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

    def on_train_start(self) -> None:
        """Count labels and fit the standardisation, unless a checkpoint brought them."""
        self._move()
        learner = self._learner()
        self._goes_on = bool(learner.token_design.tokens > 0)
        if self._goes_on:
            return
        loader = self.trainer.train_dataloader

        def batches() -> Iterator[DocumentBatch]:
            for batch in loader:  # type: ignore[union-attr]
                yield self.trainer.strategy.batch_to_device(batch, self.device)

        prepare(learner, self.lm, self.labeller, batches, self.hparams["sample_tokens"])

    def training_step(self, batch: DocumentBatch, batch_idx: int) -> None:
        """Epoch 0 accumulates; later epochs learn."""
        learner = self._learner()
        if self._goes_on:
            share_out_streaming(learner)
            self._goes_on = False
        seen = learner.observe(batch, self.labeller)
        optimizers: Any = self.optimizers()
        if self.current_epoch == 0:
            learner.accumulate(self.lm, seen)
        else:
            studied = learner.study(self.lm, seen, variance=self.current_epoch == 1)
            encoding, decoding = set_gradients(learner, studied, seen)
            self.log_dict({"fit/encoding_loss": encoding, "fit/decoder_loss": decoding}, prog_bar=True)
            epochs = self.trainer.max_epochs or 2
            share = remaining(self.current_epoch, batch_idx, int(self.trainer.num_training_batches), epochs)
            for optimizer, rate in zip(optimizers, ("learning_rate", "decoder_learning_rate"), strict=True):
                for group in optimizer.param_groups:
                    group["lr"] = self.hparams[rate] * share
        for optimizer in optimizers:
            optimizer.step()  # without gradients, in epoch 0, nothing moves; but the step counts, so it can be saved

    def on_train_epoch_end(self) -> None:
        """Solve after epoch 0; finish the variances after epoch 1."""
        if self.current_epoch == 0:
            self._learner().finish_sums()
        elif self.current_epoch == 1:
            self._learner().finish_variance()

    def validation_step(self, batch: DocumentBatch, batch_idx: int) -> None:
        """Read the concepts back from held-out documents."""
        if self.trainer.sanity_checking or self.current_epoch == 0:
            return  # nothing to read with yet
        learner = self._learner()
        self.reading.update(learner, self.lm, learner.observe(batch, self.labeller))

    def on_validation_epoch_end(self) -> None:
        """Log average precision per concept, for the gated set and for the best single neuron."""
        if self.trainer.sanity_checking or self.current_epoch == 0:
            return
        shape = self._learner().shape
        self.precision = self.reading.finish({"token": shape.concepts, "sequence": shape.classes})
        self.log_dict(self.precision)
        if self.trainer.is_global_zero:
            log_curves(self.logger, self.reading.curves, self.global_step)

    def on_train_end(self) -> None:
        """Write the association beside the logs, and show it."""
        folder = self.trainer.log_dir  # Lightning broadcasts it: every rank must ask
        if not self.trainer.is_global_zero or folder is None:
            return
        association = self.association()
        association.save(Path(folder) / "association.safetensors")
        log_association(self.logger, association, self._examples(association), self.global_step)
        if self.logger is not None:
            counts = {"fit/discoveries": float(association.gate.sum()), "fit/closed_form_spearman": self.agreement()}
            self.logger.log_metrics(counts | {"fit/unexplained": float(self._learner().token.unexplained)})

    def _examples(self, association: Association) -> dict[str, str]:
        exciting, decoder = self.reading.examples, self._learner().token_decoder
        if exciting is None:
            return {}
        names, shown = association.neurons, exciting.values.shape[1] // len(decoder.neurons)
        out = {}
        for c, concept in enumerate(self._learner().shape.concepts):
            own = [(names[row], found) for k, row in enumerate(decoder.neurons[c, :shown].tolist())
                   for found in exciting.of(c * shown + k)]  # fmt: skip
            rows = [(name, *found) for name, found in own]
            out[concept] = example_table(rows, lambda ids: str(self.lm.tokenizer.decode(ids)))
        return out

    # --- test ---------------------------------------------------------------------------------------------------
