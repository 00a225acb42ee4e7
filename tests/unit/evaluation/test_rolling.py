"""Whole texts, window by window, against one full float64 forward and windows written by hand."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.models import letter_tokenizer
from tokenizers.processors import TemplateProcessing

from semprune.errors import ConfigurationError, SettingError
from semprune.evaluation.rolling import rolling_loglikelihood, rolling_windows, text_perplexity

LETTERS = "abcdefghij "
SPECIAL = [("<s>", 0), ("</s>", 1)]


@given(st.lists(st.integers(1, 9), max_size=30), st.integers(1, 12))
def test_every_token_is_predicted_once_after_what_stands_before_it(tokens, limit):
    windows = rolling_windows(tokens, [0], limit)
    assert [token for window in windows for token in window.targets] == tokens
    done, padded = 0, [0, *tokens]
    for window in windows:
        done += len(window.targets)
        assert len(window.input_ids) == window.start + len(window.targets) <= limit
        assert list(window.input_ids) == padded[max(0, done - limit) : done]


@given(st.lists(st.integers(1, 9), max_size=30), st.integers(2, 12), st.sampled_from([[0], [0, 10]]))
def test_every_window_begins_with_what_is_repeated(tokens, limit, prefix):
    limit += len(prefix) - 1
    windows = rolling_windows(tokens, prefix, limit, repeated=prefix)
    assert [token for window in windows for token in window.targets] == tokens
    done = 0
    for window in windows:
        done += len(window.targets)
        assert len(window.input_ids) == window.start + len(window.targets) <= limit
        assert list(window.input_ids[: len(prefix)]) == prefix
        read = window.input_ids[len(prefix) :]
        assert list(read) == tokens[done - 1 - len(read) : done - 1]
    assert all(len(window.input_ids) == limit for window in windows[:-1] or windows[1:])


def test_special_tokens_that_leave_no_room_are_refused():
    with pytest.raises(SettingError, match="max_length must be at least 2"):
        rolling_windows([1], [0], 1, repeated=[0])


@pytest.mark.parametrize("form", ["<s> $A", "<s> $A </s>", "</s> <s> $A"])
def test_special_tokens_of_a_tokenizer_are_read_and_not_scored(model, reference_logprobs, form):
    tokenizer = letter_tokenizer(LETTERS, first=["<s>", "</s>"], bos_token="<s>", eos_token="</s>")
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(single=form, special_tokens=SPECIAL)
    before = [dict(SPECIAL)[token] for token in form.split("$A")[0].split()]
    ids = [2 + LETTERS.index(letter) for letter in "bad cafe"]
    expected = 0.0
    for read, targets in (
        (before + ids[: 6 - len(before)], ids[: 7 - len(before)]),  # six tokens are read
        (before + ids[1:7][-(6 - len(before)) :], ids[7 - len(before) :]),
    ):
        rows = reference_logprobs(model, read)[-len(targets) :]
        expected += sum(row[token].item() for row, token in zip(rows, targets, strict=True))
    whole = sum(
        reference_logprobs(model, before + ids[:-1])[len(before) - 1 + place, token].item()
        for place, token in enumerate(ids)
    )
    assert rolling_loglikelihood(model, tokenizer, ["bad cafe", ""]) == [pytest.approx(whole, abs=1e-4), 0]
    assert rolling_loglikelihood(model, tokenizer, ["bad cafe"], max_length=6) == [pytest.approx(expected, abs=1e-4)]


def test_texts_that_fit_are_one_forward_of_the_slow_reference(model, reference_logprobs):
    text = "bad cafe hid a jig"
    ids = [1 + LETTERS.index(letter) for letter in text]
    logprobs = reference_logprobs(model, [0, *ids[:-1]])
    total = sum(logprobs[place, token].item() for place, token in enumerate(ids))
    found = rolling_loglikelihood(model, letter_tokenizer(LETTERS, bos_token="<s>"), [text, ""])
    assert found == [pytest.approx(total, abs=1e-4), 0]
    scores = text_perplexity(model, letter_tokenizer(LETTERS, eos_token="<s>"), [text])
    assert scores.word_perplexity == pytest.approx(math.exp(-total / 5), rel=1e-5)
    assert scores.byte_perplexity == pytest.approx(math.exp(-total / 18), rel=1e-5)
    assert scores.bits_per_byte == pytest.approx(-total / 18 / math.log(2), rel=1e-5)


def test_longer_texts_are_the_sum_of_windows_by_hand(llama, reference_logprobs):
    ids = [1, 2, 3, 4, 5, 6]
    expected = 0.0
    for read, targets in (([0, 1, 2, 3], [1, 2, 3, 4]), ([2, 3, 4, 5], [5, 6])):
        rows = reference_logprobs(llama, read)[-len(targets) :]
        expected += sum(row[token].item() for row, token in zip(rows, targets, strict=True))
    text = "".join(LETTERS[token - 1] for token in ids)
    [found] = rolling_loglikelihood(llama, letter_tokenizer(LETTERS, bos_token="<s>"), [text], max_length=4)
    assert found == pytest.approx(expected, abs=1e-4)


def test_texts_and_tokenizers_that_cannot_be_measured(llama):
    with pytest.raises(SettingError, match="texts"):
        text_perplexity(llama, letter_tokenizer(LETTERS, bos_token="<s>"), ["a", ""])
    with pytest.raises(ConfigurationError, match="neither"):
        text_perplexity(llama, letter_tokenizer(LETTERS), ["a"])
