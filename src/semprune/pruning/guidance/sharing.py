"""How a sparsity is shared: by a matrix's rows, and by all matrices, as much hangs on them (equations.md G3)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial

import torch
from jaxtyping import Float
from torch import Tensor, nn

from semprune.errors import SettingError
from semprune.pruning.calibration import CalibrationTokens
from semprune.pruning.guidance.fisher import Fisher, WeighedText
from semprune.pruning.guidance.protected_text import ProtectedText, ScoredBatch
from semprune.pruning.guidance.scores import word_places, words_logprob
from semprune.pruning.guidance.strength import AUTO
from semprune.pruning.selection.allocation import shared_sparsities

MOST_SEQUENCES, MOST_TOKENS = 16, 256
"""So much of the calibration says how much of general text hangs on each output: a backward pass costs as much as two
forwards, so that all of it would cost more than the pruning does (ours)."""


def general_text(tokens: CalibrationTokens) -> ProtectedText:
    """The first part of a calibration as something that is to be kept too: the log-probability of its tokens.

    Raises:
        SettingError: No sequence has a token behind another one.
    """
    batches = tuple(batch for batch in sequences(_beginning(tokens)) if batch.count)
    if not batches:
        raise SettingError("protect", "calibration sequences of one token", "given longer ones, whose tokens follow")
    return ProtectedText("general text", 1.0, batches)


def _beginning(tokens: CalibrationTokens) -> CalibrationTokens:
    """The first tokens of the first sequences, behind padding where that stands on the left."""
    first = tokens.mapped(lambda part: part[:MOST_SEQUENCES])
    mask = first.attention_mask
    if mask is None:
        return first.mapped(lambda part: part[:, :MOST_TOKENS])
    most = min(MOST_TOKENS, mask.shape[1])
    places = mask.argmax(1)[:, None] + torch.arange(most, device=mask.device)
    return first.mapped(lambda part: nn.functional.pad(part, (0, most)).gather(1, places))  # behind the end no tokens


def sequences(tokens: CalibrationTokens) -> Iterator[ScoredBatch]:
    """Every sequence by itself, whose score is the log-probability of its tokens behind another one.

    Tokens of weight 0 are read, and not scored. A logit for every word is in memory, at each of a sequence's tokens.
    """
    ids = tokens.input_ids
    real = torch.ones_like(ids) if tokens.attention_mask is None else tokens.attention_mask
    weighed = real.bool() if tokens.tau is None else tokens.tau > 0
    counted = nn.functional.pad(real[:, :-1], (1, 0)).bool() & real.bool() & weighed
    for row, own, words in zip(ids.split(1), real.split(1), counted.split(1), strict=True):
        score = partial(words_logprob, input_ids=row, counted=words)
        yield ScoredBatch(row, own, word_places(words), score, row[words], int(words.sum()))


@dataclass(frozen=True, slots=True)
class Sharing:
    """How a sparsity is shared.

    Attributes:
        outputs: What hangs on each output, over the mean of its matrix's; empty where nothing is shared.
        saliency: What hangs on the weights of each matrix, in the mean.
    """

    outputs: Mapping[str, Float[Tensor, " out"]] = field(default_factory=dict)
    saliency: Mapping[str, float] = field(default_factory=dict)

    def sparsities(self, sizes: Mapping[str, int], sparsity: float) -> dict[str, float] | None:
        """Return the sparsity of each matrix, so that all together have the asked one; None where nothing is shared.

        Args:
            sizes: Weights of each matrix; of those without a saliency each has the asked sparsity.
            sparsity: The asked share of all weights.
        """
        if not self.saliency:
            return None
        own = [name for name in sizes if name in self.saliency]
        shared = shared_sparsities([self.saliency[name] for name in own], [sizes[name] for name in own], sparsity)
        return dict.fromkeys(sizes, sparsity) | dict(zip(own, shared, strict=True))


def share(general: Fisher | None, texts: Iterable[WeighedText], strength: float = 0.0) -> Sharing:
    r"""Return how a sparsity is shared: by general text, and by what is to be kept as much as its strength says.

    .. math:: f_i = \frac{g_i}{\bar g} + \gamma \frac{g^s_i}{\bar g^s}, \quad
        I_m = \Big(\frac{\bar g_m}{\bar g} + \gamma \frac{\bar g^s_m}{\bar g^s}\Big)\, \mathrm{E} x^2 \, \mathrm{E} w^2

    In `f` the means are over a matrix's outputs, in `I` over all matrices.

    Source: equations.md G3.

    Args:
        general: Of general text; None where nothing is shared.
        texts: What is to be kept; of a control nothing may be known.
        strength: Of those that have none yet.

    Example:
        >>> from semprune.pruning.guidance.fisher import Fisher
        >>> kept = WeighedText(ProtectedText("sentiment", 2.0, ()), Fisher({}, {"q": torch.tensor([0.0, 4.0])}))
        >>> sizes = {"q": torch.tensor(1.0), "k": torch.tensor(3.0)}
        >>> general = Fisher({}, {"q": torch.tensor([1.0, 1.0]), "k": torch.tensor([3.0, 1.0])}, sizes)
        >>> found = share(general, [kept])
        >>> found.outputs
        {'q': tensor([1., 5.]), 'k': tensor([1.5000, 0.5000])}
        >>> {name: round(value, 2) for name, value in found.saliency.items()}
        {'q': 2.67, 'k': 4.0}
    """
    if general is None:
        return Sharing()
    counted = [(1.0, general)]
    counted += [(strength if text.strength == AUTO else text.strength, fisher) for text, fisher in texts]
    outputs: dict[str, Tensor] = {}
    factors = dict.fromkeys(general.outputs, 0.0)
    for weight, fisher in counted:
        means = {name: float(own.mean()) for name, own in fisher.outputs.items() if name in general.outputs}
        everywhere = sum(means.values()) / max(len(means), 1)
        for name in (each for each, mean in means.items() if weight and mean):
            own = weight * fisher.outputs[name] / means[name]
            outputs[name] = outputs[name] + own if name in outputs else own
            factors[name] += weight * means[name] / everywhere
    saliency = {name: factors[name] * float(general.products[name]) for name in outputs}
    return Sharing(outputs, {name: value for name, value in saliency.items() if value})
