"""What is to be kept, in one number: log-odds of an answer, or log-probability of words."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from semprune.data.batches.batching import PaddedItems


def answer_log_odds(
    logits: Float[Tensor, "rows tokens vocabulary"], batch: PaddedItems, choice: int | None = None
) -> Float[Tensor, ""]:
    r"""The log-odds of one choice of each item against its others together, summed over items, in nats.

    .. math:: s = \log p_c - \log \sum_{c' \ne c} p_{c'}

    With two choices, whichever is taken, its squared gradients are the same: no label is needed.

    Args:
        logits: Of the batch's rows.
        batch: The items.
        choice: Which choice of every item; None for the right one.
    """
    request, step = (batch.targets >= 0).nonzero(as_tuple=True)
    own = logits[batch.row[request], batch.start[request] + step]
    each = _logprobs(own, batch.targets[request, step])
    scores = each.new_zeros(len(batch.targets)).index_add(0, request.to(each.device), each)  # [requests]
    odds = []
    for index, item in enumerate(batch.items):
        choices = scores[(batch.item == index).to(scores.device)]
        taken = item.label if choice is None else choice
        others = torch.arange(len(choices), device=choices.device) != taken
        odds.append(choices[taken] - choices[others].logsumexp(0))
    return torch.stack(odds).sum()


def words_logprob(
    logits: Float[Tensor, "rows tokens vocabulary"],
    input_ids: Int[Tensor, "rows tokens"],
    counted: Bool[Tensor, "rows tokens"],
) -> Float[Tensor, ""]:
    """The log-probability of some of a text's tokens, each after what is before it, summed, in nats.

    Args:
        logits: Of the text.
        input_ids: The text.
        counted: True for the tokens that count; a row's first one is not predicted.

    Example:
        >>> even, ids = torch.zeros(1, 3, 4), torch.tensor([[0, 1, 2]])
        >>> bool(words_logprob(even, ids, torch.tensor([[True, False, True]])) == torch.tensor(0.25).log())
        True
    """
    row, place = counted[:, 1:].nonzero(as_tuple=True)
    return _logprobs(logits[row, place], input_ids[row, place + 1]).sum()


def _logprobs(logits: Float[Tensor, "places vocabulary"], tokens: Int[Tensor, " places"]) -> Float[Tensor, " places"]:
    wide = logits.log_softmax(-1, dtype=torch.promote_types(logits.dtype, torch.float32))
    found: Tensor = wide.gather(1, tokens[:, None].to(wide.device))[:, 0]
    return found
