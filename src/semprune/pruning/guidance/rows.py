"""How the rows of a matrix share its sparsity: by what hangs on their outputs (equations.md G3)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from functools import partial

import torch
from jaxtyping import Float
from torch import Tensor, nn

from semprune.pruning.calibration import CalibrationTokens
from semprune.pruning.guidance.fisher import WeighedText
from semprune.pruning.guidance.protected_text import ProtectedText, ScoredBatch
from semprune.pruning.guidance.scores import word_places, words_logprob
from semprune.pruning.guidance.strength import AUTO

MOST_SEQUENCES, MOST_TOKENS = 16, 512
"""So much of the calibration says how much of general text hangs on each output (ours)."""


def general_text(tokens: CalibrationTokens) -> ProtectedText:
    """The first part of a calibration as something that is to be kept too: the log-probability of its tokens."""
    ids, mask = tokens.input_ids[:MOST_SEQUENCES, :MOST_TOKENS], tokens.attention_mask
    first = replace(tokens, input_ids=ids, attention_mask=None if mask is None else mask[:MOST_SEQUENCES, :MOST_TOKENS])
    return ProtectedText("general text", 1.0, tuple(batch for batch in sequences(first) if len(batch.places[0])))


def sequences(tokens: CalibrationTokens) -> Iterator[ScoredBatch]:
    """Every sequence by itself, whose score is the log-probability of its tokens behind another one.

    A logit for every word is in memory, at each of a sequence's tokens.
    """
    ids, mask = tokens.input_ids, tokens.attention_mask
    for row, real in zip(ids.split(1), (torch.ones_like(ids) if mask is None else mask).split(1), strict=True):
        counted = nn.functional.pad(real[:, :-1], (1, 0)).bool() & real.bool()
        yield ScoredBatch(row, real, word_places(counted), partial(words_logprob, input_ids=row, counted=counted))


def row_weights(
    general: Mapping[str, Float[Tensor, " out"]], texts: Iterable[WeighedText], strength: float = 0.0
) -> dict[str, Float[Tensor, " out"]]:
    r"""Return what hangs on each output: of general text, and of what is to be kept as much as its strength says.

    .. math:: \frac{g_i}{\bar g} + \gamma \frac{g^s_i}{\bar g^s}

    Args:
        general: Fisher information of general text at each output, by the matrix's name; empty where none share.
        texts: What is to be kept; of a control nothing may be known.
        strength: Of those that have none yet.

    Example:
        >>> from semprune.pruning.guidance.fisher import Fisher
        >>> kept = WeighedText(ProtectedText("sentiment", 2.0, ()), Fisher({}, {"q": torch.tensor([0.0, 4.0])}))
        >>> row_weights({"q": torch.tensor([1.0, 1.0]), "k": torch.tensor([3.0, 1.0])}, [kept])
        {'q': tensor([1., 5.]), 'k': tensor([1.5000, 0.5000])}
    """
    found = {name: _relative(weights) for name, weights in general.items()}
    for text, fisher in texts:
        own = strength if text.strength == AUTO else text.strength
        for name in found.keys() & fisher.outputs.keys() if own else ():
            found[name] = found[name] + own * _relative(fisher.outputs[name])
    return {name: weights for name, weights in found.items() if weights.any()}


def _relative(weights: Float[Tensor, " out"]) -> Float[Tensor, " out"]:
    """Divided by their mean; 0 where nothing hangs on any output."""
    return weights / weights.mean() if weights.any() else weights
