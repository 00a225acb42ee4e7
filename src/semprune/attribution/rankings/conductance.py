"""Conductance: integrated gradients of the right choice, read off at the neurons."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch
from jaxtyping import Float
from torch import Tensor

from semprune.attribution.association.association import Association
from semprune.attribution.gradients.objectives import right_choice_objectives
from semprune.attribution.gradients.rankings import LabelledItems
from semprune.attribution.gradients.site_gradients import Pair, activation_gradients
from semprune.backbones import Backbone
from semprune.types import Item

NEEDS = "items"


def rank(items: LabelledItems) -> Float[Tensor, " neurons"]:
    """See :func:`conductance_ranking`."""
    return conductance_ranking(items.lm, items.association, items.items)


STEPS = 8


def conductance_ranking(
    lm: Backbone, association: Association, items: Sequence[Item], *, steps: int = STEPS, token_budget: int = 1024
) -> Float[Tensor, " neurons"]:
    r"""|Conductance| of every neuron for the log-odds of the items' right choices.

    .. math:: \Big|\frac{1}{n}\sum_i \sum_{t>0} \sum_{k=1}^{K}
              \frac{\partial \ell_i(x_k)}{\partial h_{tj}}\,\big(h_{tj}(x_k) - h_{tj}(x_{k-1})\big)\Big|,
              \qquad x_k = \bar e + \tfrac{k}{K}(e - \bar e)

    with `e` the text's input embeddings and `ē` the mean of all tokens' (a zero vector would not do: normalisation
    undoes any scale of the input). The first position does not count, as in the association.

    Source: conductance, Dhamdhere et al. (arXiv 1805.12233), which is integrated gradients (Sundararajan et al., arXiv
    1703.01365) read off at hidden neurons; the path is theirs for image inputs, the mean embedding ours.

    Args:
        lm: The dense backbone.
        association: Names the sites.
        items: Labelled items that no check scores.
        steps: `K`, each a forward and a backward.
        token_budget: Padded tokens of a batch; all sites' activations of two steps are in memory at once.

    Returns:
        fp32 on the CPU, larger is more important.

    Raises:
        ConfigurationError: There is no item.
        BackboneMismatchError: The association is another backbone's.
        NonFiniteError: The model gives NaN or infinite log-odds.
    """
    association.require(lm.fingerprint)
    total = torch.zeros(len(association.rms), dtype=torch.float64)
    for objective in right_choice_objectives(lm, items, token_budget):
        total += _conductance(lm, association, objective, steps)
    return (total / len(items)).abs().float()


def _conductance(lm: Backbone, association: Association, objective: Callable[[], Tensor], steps: int) -> Tensor:
    total = torch.zeros(len(association.rms), dtype=torch.float64)
    before: dict[str, Tensor] = {}
    for step, pairs in enumerate(_along(lm, association, objective, steps)):
        if step:
            moved = [
                (gradient[:, 1:].float() * (h[:, 1:].float() - before[name][:, 1:].float())).sum((0, 1))
                for name, (h, gradient) in pairs.items()
            ]
            total += torch.cat(moved).double().cpu()
        before = {name: h for name, (h, _) in pairs.items()}
    return total


def _along(
    lm: Backbone, association: Association, objective: Callable[[], Tensor], steps: int
) -> Iterator[dict[str, Pair]]:
    """Activations and gradients at each of the ``steps`` + 1 points of the path."""
    for step in range(steps + 1):
        with scaled_embeddings(lm, step / steps):
            yield activation_gradients(lm, association.sites, objective)


@contextmanager
def scaled_embeddings(lm: Backbone, share: float) -> Iterator[None]:
    """Inside the context every input embedding is only ``share`` of the way from the mean of all tokens' to itself."""
    embedding = lm.model.get_input_embeddings()
    mean = embedding.weight.detach().float().mean(0)

    def move(_module: object, _inputs: object, output: Tensor) -> Tensor:
        moved: Tensor = mean + share * (output.float() - mean)
        return moved.to(output.dtype)

    handle = embedding.register_forward_hook(move)
    try:
        yield
    finally:
        handle.remove()
