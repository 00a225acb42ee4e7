"""Log-probabilities of the choices of padded items, from a model's logits, and the log-odds of one of them."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor

from semprune.data.batches.batching import PaddedItems


def request_places(batch: PaddedItems) -> tuple[Int[Tensor, " tokens"], Int[Tensor, " tokens"]]:
    """Row and position whose logits predict each continuation token, request by request."""
    request, step = (batch.targets >= 0).nonzero(as_tuple=True)
    return batch.row[request], batch.start[request] + step


def request_scores(batch: PaddedItems, logits: Float[Tensor, "tokens vocabulary"]) -> Float[Tensor, " requests"]:
    """Log-probability of each request's continuation, from the logits at :func:`request_places`."""
    request, step = (batch.targets >= 0).nonzero(as_tuple=True)
    wide = logits.log_softmax(-1, dtype=torch.promote_types(logits.dtype, torch.float32))
    each = wide.gather(1, batch.targets[request, step, None].to(wide.device))[:, 0]
    return wide.new_zeros(len(batch.targets)).index_add(0, request.to(wide.device), each)


def answer_log_odds(
    logits: Float[Tensor, "tokens vocabulary"], batch: PaddedItems, choice: int | None = None
) -> Float[Tensor, ""]:
    r"""The log-odds of one choice of each item against its others together, summed over items, in nats.

    .. math:: s = \log p_c - \log \sum_{c' \ne c} p_{c'}

    With two choices, whichever is taken, its squared gradients are the same: no label is needed.

    Args:
        logits: At :func:`request_places`.
        batch: The items.
        choice: Which choice of every item; None for the right one.
    """
    scores = request_scores(batch, logits)
    odds = []
    for index, item in enumerate(batch.items):
        choices = scores[(batch.item == index).to(scores.device)]
        taken = item.label if choice is None else choice
        others = torch.arange(len(choices), device=choices.device) != taken
        odds.append(choices[taken] - choices[others].logsumexp(0))
    return torch.stack(odds).sum()
