"""The real packages: as many rows as were counted by hand, and what the rules leave of them."""

from __future__ import annotations

from collections import Counter

import pytest

from semprune.data import load_documents, load_items
from semprune.data.examples import build_examples, normalise
from semprune.data.registry import calibration_names, calibration_spec, dataset_names, dataset_spec
from semprune.data.sources import read_rows, read_text
from semprune.data.splits import read_split

pytestmark = pytest.mark.assets

ROWS = {
    "sst2": 872,
    "movie_reviews": 10605,
    "amazon_reviews": 3708,
    "tweets": 4200,
    "nyt_editorials": 5190,
    "mrpc": 408,
    "rte": 277,
    "cb": 56,
    "boolq": 3270,
    "piqa": 1838,
    "social_i_qa": 1954,
    "commonsense_qa": 1221,
    "openbookqa": 500,
    "arc_easy": 570,
    "arc_challenge": 299,
    "bbc_news": 2225,
    "sms_spam": 4837,
}
LABELS = {
    "sst2": {1: 444, 0: 428},
    "cb": {0: 23, 1: 28, 2: 5},
    "mrpc": {1: 279, 0: 129},
    "bbc_news": {0: 502, 1: 369, 2: 403, 3: 502, 4: 346},
}
WORDS = {"c4": 53603, "code": 30398, "multilingual": 24141, "technical": 30869}


def test_every_data_set_is_counted() -> None:
    assert set(ROWS) == set(dataset_names())


@pytest.mark.parametrize("name", sorted(ROWS))
def test_rows_are_those_of_the_package(name: str) -> None:
    spec = dataset_spec(name)
    rows = read_rows(spec)
    assert len(rows) == ROWS[name]
    examples = build_examples(spec, rows)
    if not spec.deduplicate:
        assert len(examples) == ROWS[name]
    if name in LABELS:
        assert Counter(example.label for example in examples) == LABELS[name]
    assert len(load_items(name, limit=5)) == 5


def test_texts_are_read_in_their_encodings() -> None:
    films = " ".join(row["text"] for row in read_rows(dataset_spec("movie_reviews")))
    assert "clichés disappear" in films
    news = " ".join(row["text"] for row in read_rows(dataset_spec("bbc_news")))
    assert "Mutu, a £15.8m signing" in news
    assert not {"Ã", "\ufffd"} & set(films + news)


def test_fitted_reviews_share_no_sentence_with_sst2() -> None:
    fit = " | ".join(normalise(document.text) for document in load_documents("movie_reviews"))
    sentences = [normalise(row["sentence"]) for row in read_rows(dataset_spec("sst2"))]
    found = [sentence for sentence in sentences if len(sentence.split()) >= 8 and sentence in fit]
    assert len(sentences) == 872
    assert found == []
    assert len(read_split(dataset_spec("movie_reviews"), "fit")) > 4000


def test_merged_messages_are_dropped() -> None:
    spec = dataset_spec("sms_spam")
    merged = [row for row in read_rows(spec) if "\nham\t" in row["text"]]
    assert len(merged) == 8
    assert max(len(example.columns["text"]) for example in build_examples(spec, read_rows(spec))) < 1000


@pytest.mark.parametrize("name", calibration_names())
def test_calibration_texts_are_whole_and_clean(name: str) -> None:
    text = read_text(calibration_spec(name))
    assert "<doc " not in text
    assert "<|endoftext|>" not in text
    assert len(text.split()) == WORDS.get(name, len(text.split()))
    assert len(text.split()) > 24000
