"""Items of which nothing can be scored are listed and left out, the same ones whatever the model."""

from __future__ import annotations

import logging

import pytest
from transformers import PreTrainedTokenizerFast

from semprune.data.batches.batching import encode_item
from semprune.data.batches.encoding import encode_request
from semprune.data.batches.scorable import encode_items
from semprune.errors import NoOwnTokenError, PromptTooLongError, TooManyLeftOutError
from semprune.types import Item

MELTING = (("Sentiment: posit", "ive"), ("Sentiment: posit", " bad"))  # "positive" is one token of the tokenizer
EMPTY = (("Sentiment:", ""), ("Sentiment:", " bad"))


def items(count: int, melting: dict[int, tuple[tuple[str, str], ...]], prompt: str = "ask") -> list[Item]:
    plain = (("Sentiment:", " positive"), ("Sentiment:", " negative"))
    return [Item("toy", str(n), str(n), melting.get(n, plain), 0, prompt) for n in range(count)]


def test_items_without_a_token_of_their_own_are_listed_and_the_others_encoded(
    tokenizer: PreTrainedTokenizerFast, caplog: pytest.LogCaptureFixture
) -> None:
    asked = items(10, {2: MELTING, 7: EMPTY}) + items(9, {5: MELTING}, "other")
    with caplog.at_level(logging.WARNING, logger="semprune.data"):
        found = encode_items(tokenizer, asked, 64)
    kept = [item for item in asked if (item.prompt, item.item_id) not in {("ask", "2"), ("ask", "7"), ("other", "5")}]
    assert list(found.items) == [encode_item(tokenizer, item, 64) for item in kept]
    assert found.counts == {("toy", "ask"): 2, ("toy", "other"): 1}
    assert found.listed == {"toy": {"ask": ["2", "7"], "other": ["5"]}}
    assert "'toy', prompt 'ask': 2 of 10 items are left out, a choice has no token of its own (2, 7)" in caplog.text
    assert encode_items(tokenizer, kept, 64).listed == {}


def test_a_fifth_may_be_left_out_and_more_is_refused(tokenizer: PreTrainedTokenizerFast) -> None:
    assert len(encode_items(tokenizer, items(10, {0: EMPTY, 1: MELTING}), 64).items) == 8
    with pytest.raises(
        TooManyLeftOutError, match=r"'ask': 3 of 10 items .* 20 % .*'toy', item '0'.*'ive' has no tokens"
    ):
        encode_items(tokenizer, items(10, {0: MELTING, 1: EMPTY, 2: MELTING}), 64)
    with pytest.raises(TooManyLeftOutError, match="1 of 1 items"):  # the other prompt's items do not hide it
        encode_items(tokenizer, [*items(10, {}), *items(1, {0: EMPTY}, "other")], 64)


def test_what_does_not_fit_still_stops_everything(tokenizer: PreTrainedTokenizerFast) -> None:
    with pytest.raises(PromptTooLongError, match="item '3'"):
        encode_items(tokenizer, items(4, {3: (("Sentiment: " * 40, " bad"),)}), 64)


def test_a_single_request_is_refused_by_its_number(tokenizer: PreTrainedTokenizerFast) -> None:
    with pytest.raises(NoOwnTokenError, match=r"^request 4: the continuation 'ive' has no tokens of its own"):
        encode_request(tokenizer, *MELTING[0], 64, item="4")
