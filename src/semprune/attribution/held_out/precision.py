"""How well held-out documents' concepts are read back, per concept: by its gated set, and by its best single neuron."""

from __future__ import annotations

import torch
from jaxtyping import Int
from torch import Tensor, nn
from torchmetrics.utilities import dim_zero_cat

from semprune.attribution.fit.average_precision import ConceptAveragePrecision, PrecisionRecall, precision_recall
from semprune.attribution.fit.decoder import Selection
from semprune.attribution.fit.learner import AttributionLearner, LabelledBatch
from semprune.attribution.held_out.sums import LEVELS
from semprune.attribution.neurons.max_activating import MaxActivatingTokens
from semprune.backbones import Backbone
from semprune.io.distributed import gather_rows

SINGLE_NEURONS = 5  # the best single neuron is sought among a concept's five surest ones
SHOWN_NEURONS = 3  # of each concept, with the tokens that excite them


class LevelPrecision(nn.Module):
    """Average precision of one level's concepts on held-out documents (equations.md S6)."""

    def __init__(self) -> None:
        """Start without observations."""
        super().__init__()
        self.by_set = ConceptAveragePrecision()
        self.by_neuron = ConceptAveragePrecision()

    def update(self, selection: Selection, targets: Int[Tensor, "n concepts"]) -> None:
        """Add observations: the decoder's neurons, and which concepts are there (-1: unknown)."""
        if not targets.shape[1]:
            return
        decoder, values = selection.decoder, selection.values
        self.by_set.update(decoder(values), targets)
        signed = values.view(len(values), *decoder.weight.shape) * decoder.weight.sign()
        single = signed[..., :SINGLE_NEURONS]
        self.by_neuron.update(single.flatten(1), targets[..., None].expand_as(single).flatten(1))

    def compute(self) -> tuple[list[float], list[float]]:
        """Average precision of each concept by its set, and by the best of its surest neurons; empty if unused."""
        if not self.by_set.update_called:
            return [], []
        by_set: Tensor = torch.atleast_1d(self.by_set.compute())  # torchmetrics makes one concept a scalar
        single: Tensor = self.by_neuron.compute()
        best = single.view(len(by_set), -1).nan_to_num(nan=-torch.inf).amax(1)
        return by_set.tolist(), torch.where(best.isfinite(), best, torch.nan).tolist()

    def prevalence(self) -> list[float]:
        """Share of the observations that have each concept: the average precision of guessing; empty if unused."""
        if not self.by_set.update_called:
            return []
        targets = gather_rows(dim_zero_cat(self.by_set.targets))
        return ((targets > 0).sum(0) / (targets >= 0).sum(0)).tolist()

    def curves(self) -> list[PrecisionRecall | None]:
        """Precision against recall of each concept's set, over all ranks' observations."""
        if not self.by_set.update_called:
            return []
        scores, targets = (gather_rows(dim_zero_cat(part)) for part in (self.by_set.scores, self.by_set.targets))
        return [precision_recall(scores[:, c], targets[:, c].long()) for c in range(scores.shape[1])]

    def reset(self) -> None:
        """Forget all observations."""
        self.by_set.reset()
        self.by_neuron.reset()


class HeldOutPrecision(nn.Module):
    """One validation: both levels' precision, and the tokens that excite each token-level concept's neurons.

    Attributes:
        precision: After :meth:`finish`, ``average_precision/concept``, ``single_neuron/concept`` and what guessing
            gives, ``held_out_prevalence/concept``.
        curves: After :meth:`finish`, by concept.
        examples: After :meth:`finish`; slots are the concepts' first neurons, concept by concept.
    """

    def __init__(self) -> None:
        """Start without documents."""
        super().__init__()
        self.levels = nn.ModuleDict({level: LevelPrecision() for level in LEVELS})
        self.precision: dict[str, float] = {}
        self.curves: dict[str, PrecisionRecall | None] = {}
        self.examples: MaxActivatingTokens | None = None
        self._running: MaxActivatingTokens | None = None

    def update(self, learner: AttributionLearner, lm: Backbone, labelled: LabelledBatch) -> None:
        """Read a batch of held-out documents, in one forward."""
        token, sequence = learner.decoder_inputs(lm, labelled)
        self._level("token").update(token, labelled.targets)
        self._level("sequence").update(sequence, learner.sequence_design.targets(labelled.batch))
        weight, batch = learner.token_decoder.weight, labelled.batch
        shown = min(SHOWN_NEURONS, weight.shape[1])
        if self._running is None:
            self._running = MaxActivatingTokens(len(weight) * shown, labelled.valid.device)
        signed = token.values.view(*labelled.valid.shape, *weight.shape)[..., :shown] * weight[:, :shown].sign()
        self._running.add(signed.flatten(2), batch.input_ids, labelled.valid, batch.attention_mask)

    def finish(self, names: dict[str, tuple[str, ...]]) -> dict[str, float]:
        """Gather over ranks and start afresh; returns :attr:`precision`.

        Args:
            names: Concepts of each level.
        """
        for level, concepts in names.items():
            reading = self._level(level)
            by_set, by_neuron = reading.compute()
            self.precision |= {f"average_precision/{name}": v for name, v in zip(concepts, by_set, strict=False)}
            self.precision |= {f"single_neuron/{name}": v for name, v in zip(concepts, by_neuron, strict=False)}
            guessing = reading.prevalence()
            self.precision |= {f"held_out_prevalence/{name}": v for name, v in zip(concepts, guessing, strict=False)}
            self.curves |= dict(zip(concepts, reading.curves(), strict=False))
            reading.reset()
        if self._running is not None:
            self._running.finish()
        self.examples, self._running = self._running, None
        return self.precision

    def _level(self, level: str) -> LevelPrecision:
        reading = self.levels[level]
        assert isinstance(reading, LevelPrecision)  # made above
        return reading
