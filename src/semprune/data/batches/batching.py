"""From encoded items and documents to padded batches, and the plans that say which belong together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor

from semprune.data.batches.encoding import EncodedRequest, Truncate, encode_request
from semprune.types import DocumentBatch, Item

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


@dataclass(frozen=True, slots=True)
class EncodedItem:
    """An item as token ids.

    Attributes:
        item: The item.
        requests: One per choice.
        rows: The different inputs that have to be read.
        row: Index into ``rows`` of each request.
    """

    item: Item
    requests: tuple[EncodedRequest, ...]
    rows: tuple[tuple[int, ...], ...]
    row: tuple[int, ...]

    @property
    def longest(self) -> int:
        """Tokens of the longest row."""
        return max(map(len, self.rows))


def encode_item(
    tokenizer: PreTrainedTokenizerBase, item: Item, max_length: int, *, truncate: Truncate = "error"
) -> EncodedItem:
    """Encode an item's requests; requests that a causal model can answer from one row share it.

    Args:
        tokenizer: The model's tokenizer.
        item: The item.
        max_length: Tokens that the model can read.
        truncate: See :func:`semprune.data.batches.encoding.encode_request`.

    Raises:
        PromptTooLongError: If a request does not fit.
    """
    requests = tuple(
        encode_request(
            tokenizer, context, continuation, max_length, truncate=truncate, dataset=item.dataset, item=item.item_id
        )
        for context, continuation in item.requests
    )
    rows, row = share_rows([request.input_ids for request in requests])
    return EncodedItem(item, requests, rows, row)


def share_rows(inputs: Sequence[tuple[int, ...]]) -> tuple[tuple[tuple[int, ...], ...], tuple[int, ...]]:
    """Drop inputs that are the beginning of another: a causal model computes the same there.

    Single-token choices of one context read exactly the same, and so share one row.

    Args:
        inputs: Token ids of each request.

    Returns:
        The rows that remain, and the row of each input.

    Example:
        >>> share_rows([(5, 6), (5, 6), (5, 6, 7), (8,)])
        (((5, 6, 7), (8,)), (0, 0, 0, 1))
    """
    rows: list[tuple[int, ...]] = []
    for tokens in sorted(set(inputs), key=lambda tokens: (-len(tokens), inputs.index(tokens))):
        if not any(row[: len(tokens)] == tokens for row in rows):
            rows.append(tokens)
    row = tuple(next(i for i, row in enumerate(rows) if row[: len(tokens)] == tokens) for tokens in inputs)
    return tuple(rows), row


@dataclass(frozen=True, slots=True)
class ItemBatch:
    """Evaluation items that are scored together; none where a rank has no share of a batch."""

    items: tuple[EncodedItem, ...]


@dataclass(slots=True)
class PaddedItems:
    """Items as tensors: rows of input, and the requests to read from them.

    Several requests may share one row (single-token choices of one context).

    Attributes:
        items: The items.
        input_ids: Right-padded input; the last token of a continuation is never an input.
        attention_mask: 1 for tokens, 0 for padding.
        row: Row of each request.
        start: Position *in the row* whose logits predict the request's first continuation token.
        targets: Continuation tokens of each request, padded with -1.
        item: Index into ``items`` of each request; requests of an item are in the order of its choices.
    """

    items: tuple[Item, ...]
    input_ids: Int[Tensor, "rows tokens"]
    attention_mask: Int[Tensor, "rows tokens"]
    row: Int[Tensor, " requests"]
    start: Int[Tensor, " requests"]
    targets: Int[Tensor, "requests longest"]
    item: Int[Tensor, " requests"]


def pad_items(items: Sequence[EncodedItem], padding: int) -> PaddedItems:
    """Pad items into one batch, for a forward with gradients; no items give a batch of no rows.

    Args:
        items: The encoded items.
        padding: Token id to fill with.
    """
    rows = [tokens for item in items for tokens in item.rows]
    first_row = np.cumsum([0, *(len(item.rows) for item in items)])
    requests = [(index, item, choice) for index, item in enumerate(items) for choice in range(len(item.requests))]
    input_ids, attention_mask = pad(rows, padding)
    targets, _ = pad([item.requests[choice].targets for _, item, choice in requests], -1)
    return PaddedItems(
        items=tuple(item.item for item in items),
        input_ids=input_ids,
        attention_mask=attention_mask,
        row=_longs([int(first_row[index]) + item.row[choice] for index, item, choice in requests]),
        start=_longs([item.requests[choice].start for _, item, choice in requests]),
        targets=targets,
        item=_longs([index for index, _, _ in requests]),
    )


@dataclass(frozen=True, slots=True)
class EncodedDocument:
    """A text as token ids, with the indices that :class:`DocumentBatch` explains.

    Attributes:
        cluster: None where the text is a document of its own: ``document`` then names its cluster too.
    """

    input_ids: tuple[int, ...]
    document: int
    dataset: int
    label: int
    cluster: int | None = None


def document_batch(documents: Sequence[EncodedDocument], padding: int) -> DocumentBatch:
    """Pad documents into one batch; no documents give a batch of no rows."""
    input_ids, attention_mask = pad([document.input_ids for document in documents], padding)
    return DocumentBatch(
        input_ids=input_ids,
        attention_mask=attention_mask,
        document=_longs([document.document for document in documents]),
        dataset=_longs([document.dataset for document in documents]),
        label=_longs([document.label for document in documents]),
        cluster=_longs([d.document if d.cluster is None else d.cluster for d in documents]),
    )


def pad(rows: Sequence[Sequence[int]], padding: int) -> tuple[Int[Tensor, "rows tokens"], Int[Tensor, "rows tokens"]]:
    """Fill rows on the right to the longest; also the mask of what is real.

    No rows give tensors of shape [0, 1], so that the first position can be sliced as ever. Hugging Face
    models refuse them: who runs a model asks for rows first.

    Example:
        >>> pad([[7, 8], [9]], padding=0)
        (tensor([[7, 8],
                [9, 0]]), tensor([[1, 1],
                [1, 0]]))
    """
    longest = max(map(len, rows), default=1)
    ids = torch.full((len(rows), longest), padding, dtype=torch.long)
    mask = torch.zeros((len(rows), longest), dtype=torch.long)
    for index, row in enumerate(rows):
        ids[index, : len(row)] = _longs(row)
        mask[index, : len(row)] = 1
    return ids, mask


def _longs(values: Sequence[int]) -> Int[Tensor, " values"]:
    return torch.tensor(values, dtype=torch.long)
