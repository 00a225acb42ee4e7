"""What closing gates costs beside the task: divergence from the dense model on text, and its Fisher information."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from semprune.attribution.association.neurons import NeuronIndex
from semprune.attribution.gates.gating import gated
from semprune.backbones import Backbone, capture
from semprune.errors import NonFiniteError, SettingError
from semprune.evaluation.engine.causal_lm import evaluating
from semprune.evaluation.engine.logits import logits_at, logits_of
from semprune.io.distributed import rank, sum_over_ranks, world_size
from semprune.types import NeuronSite

Texts = Sequence[Int[Tensor, "windows tokens"]]
"""Windows without padding, of one length within a text: general text, and text of the task's domain."""


@dataclass(frozen=True)
class DenseTexts:
    """Texts, and what is kept of the dense model on them.

    Attributes:
        texts: The windows.
        states: What the head is given at every position that predicts a token, in the model's dtype, on the CPU.
        fisher: `F_j = E (∂ℓ/∂m_j)²` over windows, ℓ their mean negative log-likelihood and m = 1 − g the gate, at
            open gates: what taking a neuron away costs of all else, to second order.
    """

    texts: tuple[Int[Tensor, "windows tokens"], ...]
    states: tuple[Float[Tensor, "windows positions d"], ...]
    fisher: Float[Tensor, " neurons"]

    def draw(self, count: int, seed: Sequence[int]) -> list[tuple[int, int]]:
        """Draw windows, as many of each text, as pairs of text and window; at least one of each."""
        random, each = np.random.default_rng(list(seed)), max(count // len(self.texts), 1)
        return [
            (text, int(window))
            for text, windows in enumerate(self.texts)
            for window in random.permutation(len(windows))[:each]
        ]


def dense_texts(
    lm: Backbone, sites: Sequence[NeuronSite], texts: Texts, mean: Float[Tensor, " neurons"], windows: int = 8
) -> DenseTexts:
    """Read texts with the dense model once: one forward and one backward of every window.

    The ranks of a process group share the windows.

    Args:
        lm: The dense backbone.
        sites: Whose neurons.
        texts: One text or several.
        mean: What closed gates hold neurons at.
        windows: Windows per forward.

    Raises:
        SettingError: There is no text, or a window of fewer than two tokens.
        NonFiniteError: The model gives NaN or infinite log-probabilities.
    """
    if not texts or any(text.ndim != 2 or not len(text) or text.shape[1] < 2 for text in texts):
        shapes = [tuple(text.shape) for text in texts]
        raise SettingError("texts", shapes, "one or more, each with windows of two tokens or more")
    width: int = lm.model.get_output_embeddings().weight.shape[1]
    states, squares = [], torch.zeros(len(mean), dtype=torch.float64)
    for text in texts:
        parts, own = [], torch.zeros(len(mean), dtype=torch.float64)
        for place, ids in enumerate(torch.split(text, windows)):
            if place % world_size() == rank():
                kept, gradient = _read(lm, sites, ids, mean)
                own += gradient.double().square().sum(0).cpu()
            else:
                kept = torch.zeros(len(ids), ids.shape[1] - 1, width)
            parts.append(kept.to(lm.dtype))
        whole = torch.cat(parts).to(lm.device)
        sum_over_ranks(whole)
        states.append(whole.cpu())
        squares += own / len(text) / len(texts)
    squares = squares.to(lm.device)
    sum_over_ranks(squares)
    return DenseTexts(tuple(texts), tuple(states), squares.float().cpu())


def _read(
    lm: Backbone, sites: Sequence[NeuronSite], ids: Int[Tensor, "rows tokens"], mean: Tensor
) -> tuple[Float[Tensor, "rows positions d"], Float[Tensor, "rows neurons"]]:
    """Hidden states, and each row's gradient of its loss with respect to its own open gates."""
    seen: list[Tensor] = []
    open_gates = torch.zeros(len(ids), len(mean), device=lm.device, requires_grad=True)
    with gated(lm, sites, open_gates, mean, torch.arange(len(ids), device=lm.device)):
        logits = window_logits(lm, ids, seen)
        wide = logits.log_softmax(-1, dtype=torch.promote_types(logits.dtype, torch.float32))
        wanted = ids[:, 1:].reshape(-1, 1).to(wide.device)
        loss = -wide.gather(1, wanted).view(len(ids), -1).mean(1).sum()
        if not torch.isfinite(loss):
            raise NonFiniteError("the log-likelihood of a text that gates must leave alone")
        (gradient,) = torch.autograd.grad(loss, open_gates)
    return seen[0].detach().view(len(ids), ids.shape[1] - 1, -1).cpu(), gradient


FIRST_TOKENS = 8
"""Of a window, where single neurons are closed: those that a whole model hangs on write at its first token (ours)."""
DOMINANT = 0.25
"""Share of the length of all activations of a site, at one token, from which a neuron may be one of these (ours)."""


def dominant(
    lm: Backbone, sites: Sequence[NeuronSite], texts: DenseTexts, mean: Float[Tensor, " neurons"]
) -> Int[Tensor, " chosen"]:
    r"""Neurons that hold much of their site's activations somewhere in the first tokens of one window of each text.

    .. math:: \max_t \frac{|h_{tj} - \mu_j|}{\lVert h_t - \mu \rVert} \ge \tfrac14

    Those that a whole model hangs on are among them: of 1,500 neurons of SmolLM2-135M the four that cost most alone
    were first, second, fourth and seventh by this share.

    Source: ours; massive activations are those of arXiv 2402.17762.

    Args:
        lm: The dense backbone.
        sites: Whose neurons.
        texts: Some text.
        mean: What closed gates hold neurons at.
    """
    index = NeuronIndex(tuple(sites))
    largest = torch.zeros(len(mean))

    def see(site: NeuronSite, activations: Tensor) -> None:
        where = index.where(site)
        away = (activations.float() - mean[where].to(activations.device)).abs()
        share = away / away.norm(dim=-1, keepdim=True).clamp(min=torch.finfo(away.dtype).tiny)
        largest[where] = largest[where].maximum(share.amax((0, 1)).cpu())

    with evaluating(lm.model), capture(lm.model, sites, see):
        for text in texts.texts:
            window_logits(lm, text[:1, :FIRST_TOKENS])
    return (largest >= DOMINANT).nonzero()[:, 0]


def alone(
    lm: Backbone,
    sites: Sequence[NeuronSite],
    texts: DenseTexts,
    mean: Float[Tensor, " neurons"],
    neurons: Int[Tensor, " chosen"],
    token_budget: int = 4096,
) -> Float[Tensor, " chosen"]:
    """What closing each of some neurons by itself costs, at the first tokens of one window of each text.

    The Fisher information at open gates does not know of the few neurons whose huge activations at the first token all
    others hang on: a small step there changes nothing, and taking one away costs a good part of a nat. The ranks of a
    process group share the neurons.

    Source: ours; massive activations are those of arXiv 2402.17762.

    Args:
        lm: The dense backbone.
        sites: Whose neurons.
        texts: What the dense model says of them.
        mean: What closed gates hold neurons at.
        neurons: Which ones.
        token_budget: Tokens of a forward, at most.

    Returns:
        ``KL(dense ‖ closed)`` in nats, mean over these tokens.
    """
    ids = [text[:1, :FIRST_TOKENS] for text in texts.texts]
    states = [own[0, : part.shape[1] - 1] for own, part in zip(texts.states, ids, strict=True)]
    dense = dense_logits(lm, torch.cat(states)[None])
    found = torch.zeros(len(neurons), dtype=torch.float64, device=lm.device)
    rows = rows_at_once(lm, FIRST_TOKENS, len(dense), token_budget)
    for number, places in enumerate(torch.arange(len(neurons)).split(rows)):
        if number % world_size() == rank():
            owner = torch.arange(len(places), device=lm.device)
            gates = torch.zeros(len(places), len(mean), device=lm.device)
            gates[owner, neurons[places].to(lm.device)] = 1
            with gated(lm, sites, gates, mean, owner):  # of gates and weights that want no gradient
                parts = [window_logits(lm, own.expand(len(places), -1)) for own in ids]
            closed = torch.cat([part.unflatten(0, (len(places), -1)) for part in parts], 1)
            found[places] = divergence(dense.expand_as(closed), closed).mean(1).double()
    sum_over_ranks(found)
    return found.float().cpu()


MOST_LOGITS = 2**28
"""Positions × vocabulary of a forward of windows: a gibibyte in fp32, of which a step holds several (ours)."""


def rows_at_once(lm: Backbone, tokens: int, positions: int, token_budget: int) -> int:
    """How many windows a forward takes, with logits at some positions of each: fewer where a vocabulary is large."""
    vocabulary: int = lm.model.get_output_embeddings().weight.shape[0]
    return max(1, min(token_budget // tokens, MOST_LOGITS // (positions * vocabulary)))


def window_logits(
    lm: Backbone, ids: Int[Tensor, "rows tokens"], states: list[Tensor] | None = None
) -> Float[Tensor, "places vocabulary"]:
    """Logits at every position that predicts a token of windows without padding, row by row, as the model is now."""
    rows, positions = torch.meshgrid(torch.arange(len(ids)), torch.arange(ids.shape[1] - 1), indexing="ij")
    whole = rows.numel() * lm.model.get_output_embeddings().weight.shape[0]
    keep = None if states is None else states.append
    chunks = logits_at(
        lm.model, ids, torch.ones_like(ids), rows.flatten(), positions.flatten(), elements=whole, states=keep
    )
    return torch.cat(list(chunks))


def dense_logits(lm: Backbone, states: Float[Tensor, "rows positions d"]) -> Float[Tensor, "places vocabulary"]:
    """Logits that kept states stand for; outside of :func:`gated`, whose rows are others."""
    with torch.no_grad():
        return torch.cat(list(logits_of(lm.model, states.flatten(0, 1).to(lm.device))))


def divergence(
    dense: Float[Tensor, "places vocabulary"], other: Float[Tensor, "places vocabulary"]
) -> Float[Tensor, " places"]:
    """``KL(dense ‖ other)`` at every place, in nats, fp32 or wider.

    Example:
        >>> even, sure = torch.zeros(1, 2), torch.tensor([[0.0, 1.0986123]])
        >>> round(float(divergence(even, sure)), 4)  # ½ log(½ / ¼) + ½ log(½ / ¾)
        0.1438
    """
    wide = torch.promote_types(dense.dtype, torch.float32)
    p, q = dense.log_softmax(-1, dtype=wide), other.log_softmax(-1, dtype=wide)
    return nn.functional.kl_div(q, p, reduction="none", log_target=True).sum(-1)
