"""Row specificity and neuron classes (equations.md S4)."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

NEURON_CLASSES = ("unassociated", "specific", "shared", "global", "suppressor", "massive", "dead", "positional")


def row_specificity(effect: Float[Tensor, "neurons concepts"]) -> Float[Tensor, "neurons concepts"]:
    r"""Share of a neuron's squared effect that one concept holds, for positive effects.

    .. math:: \rho_{jc} = (A^+_{jc})^2 / \sum_{c'} A_{jc'}^2

    Source: equations.md S4.

    Example:
        >>> row_specificity(torch.tensor([[3.0, -4.0], [2.0, 0.0]])).double().round(decimals=4).tolist()
        [[0.36, 0.0], [1.0, 0.0]]
    """
    total = effect.square().sum(1, keepdim=True)
    return effect.clamp(min=0).square() / total.clamp(min=1e-12)


def association_score(effect: Float[Tensor, "neurons concepts"]) -> Float[Tensor, "neurons concepts"]:
    """`S = A⁺ · ρ`: large where the effect is positive and the neuron is the concept's own (equations.md S4)."""
    return effect.clamp(min=0) * row_specificity(effect)


def classify(
    effect: Float[Tensor, "neurons concepts"],
    any_concept: Float[Tensor, " neurons"],
    gated: Bool[Tensor, "neurons concepts"],
    dead: Bool[Tensor, " neurons"],
    massive: Bool[Tensor, " neurons"],
    any_found: Bool[Tensor, " neurons"] | None = None,
    positional: Bool[Tensor, " neurons"] | None = None,
) -> Int[Tensor, " neurons"]:
    """Label every neuron with an index into :data:`NEURON_CLASSES`.

    ``dead`` never moves; ``massive`` carries massive activations; ``global`` has discoveries, of single concepts or of
    any concept at all (``any_found``), and answers to any concept word more than to each single one; ``suppressor`` has
    only negative discoveries; ``specific`` has one concept with at least half of the squared effect (ρ ≥ ½); ``shared``
    has discoveries but no such concept. ``positional`` neurons, as given, answer to where a token stands more than to
    any concept.

    Source: equations.md S4; the bound ½ is ours: more than all other concepts together.
    """
    positive = (gated & (effect > 0)).any(1)
    specific = (gated & (row_specificity(effect) >= 0.5)).any(1)
    label = torch.zeros(len(effect), dtype=torch.long, device=effect.device)
    label[gated.any(1) & ~positive] = NEURON_CLASSES.index("suppressor")
    label[positive] = NEURON_CLASSES.index("shared")
    label[specific] = NEURON_CLASSES.index("specific")
    found = gated.any(1) if any_found is None else gated.any(1) | any_found
    label[found & (any_concept.abs() > effect.abs().amax(1))] = NEURON_CLASSES.index("global")
    if positional is not None:
        label[positional] = NEURON_CLASSES.index("positional")
    label[massive] = NEURON_CLASSES.index("massive")
    label[dead] = NEURON_CLASSES.index("dead")
    return label
