"""The real packages: as many rows as were counted by hand, and what the rules leave of them."""

from __future__ import annotations

from collections import Counter

import pytest

from semprune.assets import asset_status
from semprune.data import load_documents, load_items
from semprune.data.registry import Counts, calibration_names, calibration_spec, dataset_names, dataset_spec
from semprune.data.rows.examples import build_examples, normalise
from semprune.data.rows.sources import read_rows, read_text
from semprune.data.rows.splits import read_split

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
    "crowd_tweets": 38158,
    "stsb": 1500,
    "simlex": 1001,  # two lines of remarks
    "copa": 100,
    "winogrande": 1267,
    "hellaswag": 10042,
    "trec": 15452,
    "sciq": 1000,
    "mmlu": 14042,
}
LABELS = {
    "sst2": {1: 444, 0: 428},
    "cb": {0: 23, 1: 28, 2: 5},
    "mrpc": {1: 279, 0: 129},
    "bbc_news": {0: 502, 1: 369, 2: 403, 3: 502, 4: 346},
    "copa": {0: 55, 1: 45},
    "simlex": {0: 546, 1: 453},
}
WORDS = {"c4": 53603, "code": 30398, "multilingual": 24141, "technical": 30869}


def test_every_data_set_with_a_package_is_counted() -> None:
    assert set(ROWS) == {name for name in dataset_names() if dataset_spec(name).offline is not None}


LARGE = {"hellaswag", "crowd_tweets", "mmlu", "bbc_news"}  # seconds each


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] * (name in LARGE)) for name in sorted(ROWS)]
)
def test_rows_and_counts_are_those_of_the_package(name: str) -> None:
    spec = dataset_spec(name)
    assert spec.offline is not None
    if spec.non_commercial and asset_status(spec.offline.asset).state == "absent":
        pytest.skip(f"un-skip when `semprune assets get {spec.offline.asset} --accept-non-commercial` was run")
    rows = read_rows(spec)
    assert len(rows) == ROWS[name]
    examples = build_examples(spec, rows)
    if not spec.deduplicate and not spec.drop:
        assert len(examples) == ROWS[name]
    if name in LABELS:
        assert Counter(example.label for example in examples) == LABELS[name]
    assert len(load_items(name, limit=5)) == 5
    reserved = len(read_split(spec, "fit")) if spec.reserve or spec.offline.fit_files else 0
    assert Counts(len(read_split(spec, "evaluation")), reserved) == spec.counts


def test_questions_are_deduplicated_before_they_are_split() -> None:
    spec = dataset_spec("trec")
    lines = {(row["label"], row["text"]) for row in read_rows(spec)}
    # 5,382 different lines with their fine labels; some differ in these, in case or in punctuation only.
    assert len(lines) == 5381
    texts = {normalise(text) for _, text in lines}
    sides = [{normalise(e.columns["text"]) for e in read_split(spec, side)} for side in ("fit", "evaluation")]
    assert not sides[0] & sides[1]
    assert sides[0] | sides[1] == texts


def test_crowd_tweets_have_no_broken_characters_and_two_classes() -> None:
    spec = dataset_spec("crowd_tweets")
    rows = read_rows(spec)
    assert Counter(row["sentiment"] for row in rows) == {"negative": 16186, "neutral": 15018, "positive": 6954}
    broken = sum(not row["text"].isascii() for row in rows)
    assert 0.12 < broken / len(rows) < 0.14
    examples = build_examples(spec, rows)
    assert all(e.columns["tweet"].isascii() and "\r" not in e.columns["tweet"] for e in examples)
    assert {e.columns["sentiment"] for e in examples} == {"negative", "positive"}


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


@pytest.mark.parametrize("name", [name for name in calibration_names() if calibration_spec(name).offline])
def test_calibration_texts_are_whole_and_clean(name: str) -> None:
    text = read_text(calibration_spec(name))
    assert "<doc " not in text
    assert "<|endoftext|>" not in text
    assert len(text.split()) == WORDS.get(name, len(text.split()))
    assert len(text.split()) > 24000
