"""Scalars whose gradient says how much an activation matters: the language-model loss, or a label's log-odds."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial

import torch
from jaxtyping import Float
from torch import Tensor

from semprune.attribution.fit.design import valid_tokens
from semprune.backbones import Backbone
from semprune.backbones.readout import read_model
from semprune.data.batches.answers import answer_log_odds, request_places
from semprune.data.batches.batching import PaddedItems, pad_items
from semprune.data.batches.encoding import padding_token
from semprune.data.batches.sampling import within_budget
from semprune.data.batches.scorable import encode_items
from semprune.errors import ConfigurationError
from semprune.types import DocumentBatch, Item

Objective = Callable[[Backbone, DocumentBatch], Float[Tensor, ""]]
"""Runs a model on a batch and gives one number, the sum over its documents, in nats."""


def language_loss(lm: Backbone, batch: DocumentBatch) -> Float[Tensor, ""]:
    """Summed negative log-likelihood of every next token of the documents, in nats."""
    logits = lm.model(input_ids=batch.input_ids, attention_mask=batch.attention_mask, use_cache=False).logits
    wanted = valid_tokens(batch)[:, 1:]
    logits = logits[:, :-1][wanted]
    wide = logits.to(torch.promote_types(logits.dtype, torch.float32))
    return torch.nn.functional.cross_entropy(wide, batch.input_ids[:, 1:][wanted], reduction="sum")


def label_log_odds(positive: int, negative: int) -> Objective:
    """The log-odds of one answer token against another after each document's last token, summed over documents.

    Args:
        positive: Token id of one answer.
        negative: Token id of the other.
    """

    def objective(lm: Backbone, batch: DocumentBatch) -> Float[Tensor, ""]:
        logits = lm.model(input_ids=batch.input_ids, attention_mask=batch.attention_mask, use_cache=False).logits
        last = batch.attention_mask.sum(1) - 1
        final = logits[torch.arange(len(last), device=last.device), last]
        odds: Tensor = final[:, positive] - final[:, negative]
        return odds.to(torch.promote_types(odds.dtype, torch.float32)).sum()

    return objective


def right_choice_objectives(
    lm: Backbone, items: Sequence[Item], token_budget: int
) -> Iterator[Callable[[], Float[Tensor, ""]]]:
    """The log-odds of labelled items' right choices, one function per batch; together they cover every item once.

    Args:
        lm: The backbone.
        items: Items with two or more choices.
        token_budget: Padded tokens of a batch.

    Raises:
        ConfigurationError: There is no item.
    """
    if not items:
        raise ConfigurationError(
            "a ranking by gradients needs items that the check does not score, and there are none: raise "
            "`gradient_items`, or lower `limit` where it scores all that there are."
        )
    encoded = encode_items(lm.tokenizer, items, lm.max_length).items
    plan = within_budget([len(item.rows) for item in encoded], [item.longest for item in encoded], token_budget)(0)
    padding = padding_token(lm.tokenizer)
    for rows in plan:
        yield partial(_right_choice_log_odds, lm, pad_items([encoded[index] for index in rows], padding))


def _right_choice_log_odds(lm: Backbone, batch: PaddedItems) -> Float[Tensor, ""]:
    inputs = {"input_ids": batch.input_ids.to(lm.device), "attention_mask": batch.attention_mask.to(lm.device)}
    return answer_log_odds(read_model(lm.model, inputs, request_places(batch)).logits, batch)
