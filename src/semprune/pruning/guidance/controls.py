"""Controls of token weights: what of their effect is the meaning, and what the text, the place, or any weighting."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping
from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor

Weights = Literal["fisher", "even", "place", "permuted"]
"""How the tokens of a protected text count; all but the first are controls."""


def controlled(
    weights: Mapping[str, Float[Tensor, "rows tokens"]], mask: Int[Tensor, "rows tokens"], kind: Weights
) -> dict[str, Float[Tensor, "rows tokens"]]:
    """Return the weights that a control has in the place of the Fisher information.

    ``even``: each token counts alike, so that the text is plain calibration. ``place``: each has the mean of its
    place, counted from the end of the row, over all rows: where one reads is known, not what stands there.
    ``permuted``: those of a row in another order, the same for all matrices.

    Args:
        weights: Fisher information of each token, 0 at padding, by the matrix's name.
        mask: 1 for tokens, 0 for padding on the right.
        kind: Which control; ``fisher`` for none.

    Example:
        >>> tau = {"q": torch.tensor([[1.0, 3.0, 8.0], [2.0, 4.0, 0.0]])}
        >>> controlled(tau, torch.tensor([[1, 1, 1], [1, 1, 0]]), "place")["q"]
        tensor([[1.0000, 2.5000, 6.0000],
                [2.5000, 6.0000, 0.0000]])
    """
    if kind == "fisher":
        return dict(weights)
    if kind == "even":
        return {name: mask.to(tau) for name, tau in weights.items()}
    if kind == "place":
        return {name: _by_place(tau, mask.to(tau.device)) for name, tau in weights.items()}
    order = _orders(mask)
    return {name: tau.gather(1, order.to(tau.device)) for name, tau in weights.items()}


def controlled_outputs(weights: Mapping[str, Float[Tensor, " out"]], kind: Weights) -> dict[str, Float[Tensor, " out"]]:
    """Return the weights of outputs that a control has: permuted ones, or none, since it knows of no output.

    Permuted ones are another output's, of the same matrix of another block: neither rows nor matrices know any more
    what hangs on them.

    Args:
        weights: Fisher information of each output, by the matrix's name.
        kind: Which control; ``fisher`` for none.
    """
    if kind == "fisher":
        return dict(weights)
    if kind != "permuted":
        return {}
    generator = torch.Generator().manual_seed(0)
    alike: dict[tuple[str, int], list[str]] = defaultdict(list)
    for name, own in weights.items():
        alike[re.sub(r"\d+", "", name), len(own)].append(name)
    found = {}
    for names in alike.values():
        for name, other in zip(names, torch.randperm(len(names), generator=generator).tolist(), strict=True):
            own = weights[names[other]]
            found[name] = own[torch.randperm(len(own), generator=generator).to(own.device)]
    return {name: found[name] for name in weights}


def _by_place(tau: Tensor, mask: Tensor) -> Tensor:
    place = mask.sum(1, keepdim=True) - mask.cumsum(1)  # 0 at a row's last token
    place = torch.where(mask.bool(), place, 0).flatten()
    own = mask.flatten().to(tau)
    size = tau.shape[1]
    sums = tau.new_zeros(size).index_add(0, place, tau.flatten() * own)
    means = sums / tau.new_zeros(size).index_add(0, place, own).clamp_min(1)
    return (means[place] * own).view(tau.shape)


def _orders(mask: Int[Tensor, "rows tokens"]) -> Int[Tensor, "rows tokens"]:
    """An order of each row's tokens; padding keeps its place."""
    generator = torch.Generator().manual_seed(0)  # the rows are drawn already
    order = torch.arange(mask.shape[1]).repeat(len(mask), 1)
    for row, length in enumerate(mask.sum(1).tolist()):
        order[row, :length] = torch.randperm(length, generator=generator)
    return order
