"""Perplexity per word and byte, by hand and in any number of pieces."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from semprune.errors import SettingError
from semprune.evaluation.metrics.text_perplexity import TextPerplexity, count_units


def test_values_by_hand():
    word, byte = TextPerplexity("word"), TextPerplexity("byte")
    for metric in (word, byte):
        metric.update(["a bc", "é"], torch.tensor([2.0, 1.0]) * math.log(2))
    assert word.compute().item() == pytest.approx(2.0)  # three words
    assert byte.compute().item() == pytest.approx(2 ** (3 / 6))  # four bytes and two
    bits_per_byte = math.log2(byte.compute().item())
    assert bits_per_byte == pytest.approx(3 / 6)


def test_words_are_what_the_harness_splits():
    assert [count_units(text, "word") for text in ("", "one", "one two", "one \n\t two", " one ")] == [1, 1, 2, 2, 3]
    assert [count_units(text, "byte") for text in ("", "é", "日本")] == [0, 2, 6]


@given(
    st.lists(st.tuples(st.text(min_size=1), st.floats(0, 50)), min_size=1, max_size=12),
    st.integers(1, 5),
    st.sampled_from(["word", "byte"]),
)
def test_pieces_add_up(texts, size, unit):
    pieces, whole = TextPerplexity(unit), TextPerplexity(unit)
    nll = torch.tensor([value for _, value in texts], dtype=torch.float64)
    names = [text.encode("utf-8", "replace").decode() for text, _ in texts]
    whole.update(names, nll)
    for start in range(0, len(texts), size):
        pieces.update(names[start : start + size], nll[start : start + size])
    assert pieces.compute().item() == pytest.approx(whole.compute().item(), rel=1e-12)
    expected = math.exp(float(nll.sum()) / sum(count_units(name, unit) for name in names))
    assert whole.compute().item() == pytest.approx(expected, rel=1e-12)


def test_nothing_is_nan_and_other_units_are_refused():
    empty = TextPerplexity()
    empty.update([], torch.zeros(0))
    assert math.isnan(empty.compute().item())
    with pytest.raises(SettingError, match="unit must be word or byte, got 'token'"):
        TextPerplexity("token")
