"""Rankings of neurons by gradients on labelled items: what the association is held against (equations.md S7)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Float, Int
from torch import Tensor

from semprune.attribution.association.association import Association
from semprune.attribution.gradients.objectives import right_choice_objectives
from semprune.attribution.gradients.site_gradients import activation_gradients
from semprune.backbones import Backbone
from semprune.types import Item


def gradient_rankings(
    lm: Backbone, association: Association, items: Sequence[Item], *, token_budget: int = 1024
) -> dict[str, Float[Tensor, " neurons"]]:
    r"""Two rankings from one backward pass over items that are *not* those of the check.

    .. math:: r_j = \Big|\frac{1}{n}\sum_i \sum_{t>0} g_{itj}\,h_{itj}\Big|, \qquad
              r^{mean}_j = \Big|\frac{1}{n}\sum_i \sum_{t>0} g_{itj}\,(h_{itj} - \bar h_j)\Big|

    with `g` the gradient of the log-odds of the item's right choice. The first is gradient × activation (Shrikumar et
    al. 2016), the second the first-order estimate of mean-ablation itself (attribution patching, Nanda 2023). The
    first position, where the attention sink is, does not count, as in the association (equations.md S1).

    Args:
        lm: The dense backbone.
        association: Names the sites, and their neurons' means.
        items: Labelled items with two or more choices.
        token_budget: Padded tokens of a batch; all sites' activations and gradients are in memory at once.

    Returns:
        ``gradient_activation`` and ``mean_ablation_gradient``, fp32 on the CPU, larger is more important.

    Raises:
        ConfigurationError: There is no item.
        BackboneMismatchError: The association is another backbone's.
        NonFiniteError: The model gives NaN or infinite log-odds.
    """
    association.require(lm.fingerprint)
    product, gradients = (torch.zeros(len(association.rms), dtype=torch.float64) for _ in range(2))
    for objective in right_choice_objectives(lm, items, token_budget):
        pairs = activation_gradients(lm, association.sites, objective)
        each = [(g[:, 1:].float(), h[:, 1:].float()) for h, g in (pairs[site.name] for site in association.sites)]
        product += torch.cat([(g * h).sum((0, 1)).double().cpu() for g, h in each])
        gradients += torch.cat([g.sum((0, 1)).double().cpu() for g, _ in each])
    patched = product - gradients * association.mean.double()
    return {
        "gradient_activation": (product / len(items)).abs().float(),
        "mean_ablation_gradient": (patched / len(items)).abs().float(),
    }


@dataclass(frozen=True)
class LabelledItems:
    """What rankings by gradients are made from.

    Attributes:
        lm: The dense backbone.
        association: Names the sites, and their neurons' means.
        items: Labelled items with two or more choices, that no check scores.
        texts: General text, in windows of one length, for rankings that ask what else a neuron does; None takes c4.
    """

    lm: Backbone
    association: Association
    items: Sequence[Item]
    texts: Sequence[Int[Tensor, "windows tokens"]] | None = None

    @cached_property
    def by_gradient(self) -> dict[str, Float[Tensor, " neurons"]]:
        """The rankings of one backward pass, made once."""
        return gradient_rankings(self.lm, self.association, self.items)
