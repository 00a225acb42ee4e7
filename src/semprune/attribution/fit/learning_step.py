"""One learning step of the association and its decoder heads: gradients by hand, so that n ranks step like one."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor

from semprune.attribution.fit.batch_statistics import BatchStatistics
from semprune.attribution.fit.decoder import Decoder, Selection
from semprune.attribution.fit.learner import AttributionLearner, LabelledBatch
from semprune.backbones import Backbone
from semprune.io.distributed import sum_over_ranks


def learning_step(
    learner: AttributionLearner, lm: Backbone, labelled: LabelledBatch, *, variance: bool
) -> dict[str, Float[Tensor, ""]]:
    """Set every parameter's gradient from one batch, in one forward of the frozen model.

    Args:
        learner: Whose parameters learn.
        lm: The frozen model.
        labelled: This rank's share of the batch.
        variance: Whether to add the batch to the clustered variance (once per document).

    Returns:
        Losses before the step, by the name that they are logged under.
    """
    encoding, decoding = set_gradients(learner, learner.batch_statistics(lm, labelled, variance=variance), labelled)
    return {"fit/encoding_loss": encoding, "fit/decoder_loss": decoding}


def set_rates(optimizers: Sequence[torch.optim.Optimizer], rates: Sequence[float], share: float) -> None:
    """Set each optimiser's learning rate to ``share`` of its own."""
    for optimizer, rate in zip(optimizers, rates, strict=True):
        for group in optimizer.param_groups:
            group["lr"] = rate * share


def set_gradients(
    learner: AttributionLearner, statistics: BatchStatistics, labelled: LabelledBatch
) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
    """Set every parameter's gradient from one global batch; returns the encoding and the decoding loss before the step.

    Args:
        learner: Whose parameters learn.
        statistics: This rank's share of the batch, as :meth:`AttributionLearner.batch_statistics` gave it.
        labelled: The same documents.
    """
    encoding = torch.zeros((), device=labelled.valid.device)
    for level in (statistics.token, statistics.sequence):
        sums = level.sums
        sum_over_ranks(sums.gram, sums.cross, sums.squares, sums.count)
        encoding += level.encoder.step_loss(sums)
    class_targets = learner.sequence_design.targets(labelled.batch)
    decoding = _decoder_gradients(learner.token_decoder, statistics.token.selection, labelled.targets)
    decoding += _decoder_gradients(learner.sequence_decoder, statistics.sequence.selection, class_targets)
    return encoding, decoding


def _decoder_gradients(decoder: Decoder, selection: Selection, targets: Int[Tensor, "n concepts"]) -> Tensor:
    parameters = list(decoder.parameters())
    loss = decoder.loss(selection.values, targets)
    gradients = torch.autograd.grad(loss, parameters)
    total, count = loss.detach().clone(), (targets >= 0).sum().float()
    sum_over_ranks(total, count, *gradients)
    for parameter, gradient in zip(parameters, gradients, strict=True):
        parameter.grad = gradient / count.clamp(min=1)
    return total / count.clamp(min=1)


def remaining(epoch: int, batch: int, batches: int, epochs: int) -> float:
    """Share of the learning epochs (all but the first) that is still to come: what learning rates are multiplied by.

    Example:
        >>> [remaining(epoch, 5, 10, epochs=3) for epoch in (1, 2)]
        [0.75, 0.25]
    """
    done = (epoch - 1 + batch / batches) / max(epochs - 1, 1)
    return max(1 - done, 0.0)
