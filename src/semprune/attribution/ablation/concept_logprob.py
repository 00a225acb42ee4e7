"""Log-probability that a model gives to a concept's words in running text (equations.md S7)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from semprune.attribution.fit.learner import Labeller
from semprune.backbones import Backbone
from semprune.errors import NonFiniteError
from semprune.evaluation.engine.causal_lm import evaluating
from semprune.evaluation.engine.token_logprobs import token_logprobs
from semprune.statistics.bootstrap import Statistic


@dataclass(frozen=True, slots=True)
class ConceptLogprobs:
    """Summed log-probabilities of concept tokens, per sequence of text.

    Attributes:
        sums: Σ log p(token | what came before it), nats.
        counts: Tokens of each concept.
    """

    sums: Float[np.ndarray, "sequences concepts"]
    counts: Float[np.ndarray, "sequences concepts"]

    def mean(self, concept: int) -> Statistic:
        """Mean log-probability of a concept's tokens under weights of the sequences; NaN without tokens."""

        def statistic(weights: Float[np.ndarray, "resamples sequences"]) -> Float[np.ndarray, " resamples"]:
            found, tokens = weights @ self.sums[:, concept], weights @ self.counts[:, concept]
            out: np.ndarray = np.divide(found, tokens, out=np.full(len(found), np.nan), where=tokens > 0)
            return out

        return statistic


def concept_logprobs(
    lm: Backbone, labels: Labeller, text: Int[Tensor, "sequences tokens"], batch_size: int = 8
) -> ConceptLogprobs:
    """Read text and keep how probable its concept words were.

    The token that completes a word carries the label: of a word of several tokens, the last one is measured.

    Args:
        lm: The model, as it is now (pruned, ablated).
        labels: Which concepts each token carries.
        text: Sequences without padding; the first token of each is not predicted.
        batch_size: Sequences per forward.

    Raises:
        NonFiniteError: A log-probability is NaN or infinite.
    """
    sums, counts = [], []
    for ids in torch.split(text.to(lm.device), batch_size):
        carried = labels(ids, torch.ones_like(ids))[:, 1:]  # [sequences, tokens - 1, concepts]
        rows, positions = carried.any(-1).nonzero(as_tuple=True)
        own = carried[rows, positions].double()
        found = torch.zeros(len(ids), carried.shape[-1], dtype=torch.float64, device=ids.device)
        if len(rows):
            with evaluating(lm.model):
                logprobs, _ = token_logprobs(
                    lm.model, ids, torch.ones_like(ids), rows, positions, ids[rows, positions + 1]
                )
            if not logprobs.isfinite().all():
                raise NonFiniteError("the log-probability of a concept's word")
            found.index_add_(0, rows, own * logprobs.double().to(ids.device)[:, None])
        sums.append(found.cpu())
        counts.append(carried.sum(1).double().cpu())
    return ConceptLogprobs(torch.cat(sums).numpy(), torch.cat(counts).numpy())
