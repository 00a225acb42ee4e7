"""Batches hold exactly the requests of their items, in fewer rows."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.models import llama
from transformers import PreTrainedTokenizerFast

from semprune.data.batches.batching import EncodedDocument, document_batch, encode_item, pad, pad_items, share_rows
from semprune.data.batches.encoding import encode_request
from semprune.data.batches.sampling import within_budget
from semprune.types import Item

CONTEXT = "Review: a warm film.\nSentiment:"
ITEMS = (
    Item("films", "1", "1", ((CONTEXT, " negative"), (CONTEXT, " positive")), 1, "review"),
    Item("films", "2", "2", (("Answer:", " a warm film"), ("Answer:", " a warm"), ("Answer:", " rain rain")), 0, "ask"),
    Item("gap", "3", "3", (("The cup", " is warm"), ("The bank", " is warm")), 0, "partial"),
)


def test_a_batch_gives_back_every_request(tokenizer: PreTrainedTokenizerFast) -> None:
    batch = pad_items([encode_item(tokenizer, item, 50) for item in ITEMS], padding=0)
    assert batch.items == ITEMS
    assert batch.item.tolist() == [0, 0, 1, 1, 1, 2, 2]
    requests = [request for item in ITEMS for request in item.requests]
    for index, (context, continuation) in enumerate(requests):
        expected = encode_request(tokenizer, context, continuation, 50)
        row = batch.row[index]
        tokens = batch.input_ids[row][batch.attention_mask[row] == 1].tolist()
        end = int(batch.start[index]) + len(expected.targets)
        assert tokens[:end] == list(expected.input_ids)
        assert [target for target in batch.targets[index].tolist() if target >= 0] == list(expected.targets)
        assert batch.start[index] == expected.start


def test_choices_share_rows_where_a_causal_model_allows_it(plain_tokenizer: PreTrainedTokenizerFast) -> None:
    ids = {text: plain_tokenizer.encode(text, add_special_tokens=False) for text in (" negative", " positive")}
    assert all(len(tokens) == 1 for tokens in ids.values())  # whole words of the training text
    rows = [len(encode_item(plain_tokenizer, item, 50).rows) for item in ITEMS]
    assert rows[0] == 1  # two single tokens after one context
    assert rows[1] == 2  # " a warm" is the beginning of " a warm film", " rain rain" is not
    assert rows[2] == 2  # two contexts


def test_shared_rows_give_the_logits_of_rows_of_their_own(plain_tokenizer: PreTrainedTokenizerFast) -> None:
    model = llama(vocab_size=len(plain_tokenizer), num_hidden_layers=1, max_position_embeddings=64).double()
    batch = pad_items([encode_item(plain_tokenizer, item, 50) for item in ITEMS], padding=0)
    with torch.inference_mode():
        shared = model(input_ids=batch.input_ids, attention_mask=batch.attention_mask).logits
        for index, (context, continuation) in enumerate(r for item in ITEMS for r in item.requests):
            request = encode_request(plain_tokenizer, context, continuation, 50)
            alone = model(input_ids=torch.tensor([request.input_ids])).logits[0, request.start :]
            read = shared[batch.row[index], request.start : request.start + len(request.targets)]
            torch.testing.assert_close(read, alone, atol=1e-12, rtol=0)


@given(st.lists(st.lists(st.integers(0, 2), max_size=5).map(tuple), min_size=1, max_size=8))
def test_every_input_begins_its_row_and_no_row_is_superfluous(inputs: list[tuple[int, ...]]) -> None:
    rows, row = share_rows(inputs)
    assert all(rows[index][: len(tokens)] == tokens for tokens, index in zip(inputs, row, strict=True))
    assert set(rows) <= set(inputs)
    assert not any(a != b and b[: len(a)] == a for a in rows for b in rows)


def test_no_items_and_no_documents_give_batches_of_no_rows() -> None:
    scoring, documents = pad_items([], 0), document_batch([], 0)
    assert scoring.items == ()
    assert scoring.input_ids.shape == scoring.attention_mask.shape == documents.input_ids.shape == (0, 1)
    assert scoring.targets.shape == (0, 1)
    assert [t.numel() for t in (scoring.row, scoring.start, scoring.item, documents.document, documents.label)] == [
        0
    ] * 5
    assert scoring.row.dtype == documents.label.dtype == documents.input_ids.dtype == torch.long


def test_documents_are_padded_on_the_right() -> None:
    batch = document_batch([EncodedDocument((5, 6), 0, 1, 2), EncodedDocument((7,), 3, 0, -1, cluster=1)], padding=9)
    assert batch.input_ids.tolist() == [[5, 6], [7, 9]]
    assert batch.attention_mask.tolist() == [[1, 1], [1, 0]]
    assert (batch.document.tolist(), batch.dataset.tolist(), batch.label.tolist()) == ([0, 3], [1, 0], [2, -1])
    assert batch.cluster.tolist() == [0, 1]  # its own where none is given
    assert pad([], 0)[0].shape == (0, 1)


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(1, 5), st.integers(1, 40)), min_size=1, max_size=40), st.integers(1, 200))
def test_batches_stay_within_the_budget_and_hold_each_item_once(things: list[tuple[int, int]], budget: int) -> None:
    rows, lengths = [rows for rows, _ in things], [length for _, length in things]
    batches = within_budget(rows, lengths, budget)(0)
    assert sorted(index for batch in batches for index in batch) == list(range(len(things)))
    for batch in batches:
        padded = sum(rows[index] for index in batch) * max(lengths[index] for index in batch)
        assert padded <= budget or len(batch) == 1
    in_order = [lengths[index] for batch in batches for index in batch]
    assert in_order == sorted(lengths, reverse=True)


def test_the_plan_is_greedy(plain_tokenizer: PreTrainedTokenizerFast) -> None:
    # By length: 9, 8, 3, 3, 2; with 18 tokens two of the first, then three of 3.
    assert within_budget([1, 1, 1, 1, 1], [3, 9, 2, 8, 3], 18)(0) == [[1, 3], [0, 4, 2]]
    with pytest.raises(IndexError):
        within_budget([1], [1], 18)(0)[1]
