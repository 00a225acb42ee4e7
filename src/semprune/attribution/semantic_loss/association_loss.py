"""Semantic loss (equations.md L1): how much of a concept's association went, beyond what pruning destroys anyway."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor

CONTROLS = 5  # matched neurons per associated neuron; their mean steadies the control

Controls = tuple[Int[Tensor, " n"], Int[Tensor, "n controls"], Int[Tensor, "n controls"]]
"""A concept's neurons that have controls, their controls, and each control's own concept."""


def semantic_weights(
    score: Float[Tensor, "neurons concepts"], held_out: Float[Tensor, "neurons concepts"]
) -> Float[Tensor, "neurons concepts"]:
    r"""Weight of each neuron in a concept's loss.

    .. math:: \omega_{jc} = g_{jc} S_{jc} / \sum_j g_{jc} S_{jc}

    Source: equations.md. A neuron whose association is not positive on the held-out documents has nothing to lose
    there and gets weight 0 (ours).

    Args:
        score: Gated association score of the fitting documents.
        held_out: Dense effects on the held-out documents.

    Returns:
        Columns that sum to 1; a column without any usable neuron is 0.

    Example:
        >>> semantic_weights(torch.tensor([[3.0], [1.0], [4.0]]), torch.tensor([[1.0], [1.0], [-1.0]])).flatten()
        tensor([0.7500, 0.2500, 0.0000])
    """
    usable = score * (held_out > 0)
    return usable / usable.sum(0, keepdim=True).clamp(min=1e-30)


def association_lost(
    dense: Float[Tensor, "neurons concepts"], pruned: Float[Tensor, "neurons concepts"]
) -> Float[Tensor, "neurons concepts"]:
    """`1 − clip(A'/A, 0, 1)` where the dense effect is positive, 0 elsewhere.

    Example:
        >>> association_lost(torch.tensor([[2.0, 2.0, 2.0, -1.0]]), torch.tensor([[2.0, 0.5, -3.0, 0.0]]))
        tensor([[0.0000, 0.7500, 1.0000, 0.0000]])
    """
    kept = (pruned / dense.clamp(min=1e-12)).clamp(0, 1)
    return torch.where(dense > 0, 1 - kept, 0)


def semantic_loss(
    weights: Float[Tensor, "neurons concepts"], lost: Float[Tensor, "neurons concepts"]
) -> Float[Tensor, " concepts"]:
    r"""`SL_c = Σ_j ω_jc · lost_jc`, from 0 (nothing lost) to 1 (everything). Source: equations.md L1."""
    return (weights * lost).sum(0)


def matched_controls(
    weights: Float[Tensor, "neurons concepts"],
    score: Float[Tensor, "neurons concepts"],
    certainty: Float[Tensor, "neurons concepts"],
    layer: Int[Tensor, " neurons"],
    levels: Sequence[str],
    concept: int,
) -> Controls:
    """Comparable neurons: same layer, as sure of *another* concept of the same level on held-out documents.

    What they lose of their own strongest concept is what pruning takes from comparable neurons anyway. equations.md
    asks for an activation-matched random control; a random neuron has no association to lose (a ratio of two noises),
    so the control is drawn from neurons that do. A weak association loses more to noise than a strong one, and one of
    words other than one of documents: so both are matched, and both sides have a positive held-out effect.

    Args:
        weights: Of :func:`semantic_weights`; positive only where the held-out effect is.
        score: Gated association score of the fitting documents.
        certainty: |t| of the dense effects on the held-out documents.
        layer: Of each neuron.
        levels: Of each concept, ``token`` or ``sequence``.
        concept: Which concept.

    Returns:
        The concept's neurons that have controls, their controls, and each control's own concept.
    """
    mine, theirs, own = [], [], []
    alike = torch.tensor([level == levels[concept] for level in levels])
    alike[concept] = False
    others = torch.where((weights.cpu() > 0) & alike, score.cpu(), 0.0)
    strongest, best_concept = others.max(1)
    sure = certainty.cpu().clamp(min=1e-12).log()
    own_sure = sure.gather(1, best_concept[:, None])[:, 0]
    for index in layer.unique().tolist():
        here = layer == index
        target = (here & (weights[:, concept] > 0)).nonzero()[:, 0]
        pool = (here & (strongest > 0) & (score[:, concept] == 0)).nonzero()[:, 0]
        if not len(target) or len(pool) < CONTROLS:
            continue
        distance = (sure[target, concept][:, None] - own_sure[None, pool]).abs()
        nearest = pool[distance.topk(CONTROLS, dim=1, largest=False).indices]
        mine.append(target)
        theirs.append(nearest)
        own.append(best_concept[nearest])
    if not mine:
        none = torch.zeros(0, CONTROLS, dtype=torch.long)
        return none[:, 0], none, none
    return torch.cat(mine), torch.cat(theirs), torch.cat(own)


def control_loss(
    weights: Float[Tensor, "neurons concepts"],
    lost: Float[Tensor, "neurons concepts"],
    controls: Controls,
    concept: int,
) -> Float[Tensor, ""]:
    """The matched neurons' loss, with the weights of the concept's neurons; NaN without controls."""
    mine, theirs, own = controls
    weight = weights[mine, concept]
    return (weight * lost[theirs, own].mean(1)).sum() / weight.sum()
