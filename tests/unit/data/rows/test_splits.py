"""Sides of documents: stable, disjoint, whole, and free of texts that other data sets evaluate."""

from __future__ import annotations

import dataclasses
import hashlib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from semprune.data import load_documents, load_items, load_screening_items
from semprune.data.registry import DatasetSpec, dataset_spec
from semprune.data.rows.splits import (
    evaluation_key,
    hash_share,
    held_out_places,
    keep_back,
    read_split,
    select,
    word_runs,
)
from semprune.errors import SettingError

REVIEW = "the quick brown fox jumps over the lazy dog"


def serve(monkeypatch: pytest.MonkeyPatch, **tables: list[dict[str, Any]]) -> None:
    def read_rows(spec: DatasetSpec, source: str = "auto", *, fit: bool = False) -> list[dict[str, Any]]:
        return tables[f"{spec.name}_fit" if fit else spec.name]

    monkeypatch.setattr("semprune.data.rows.splits.read_rows", read_rows)


def reviews(count: int, per_document: int = 1) -> list[dict[str, Any]]:
    return [
        {"id": f"{n // per_document}_{n % per_document}", "rating": 2.0 if n % 3 else -2.0, "text": f"review {n}"}
        for n in range(count)
    ]


def test_sides_are_disjoint_cover_everything_and_keep_documents_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    serve(monkeypatch, amazon_reviews=reviews(600, per_document=3))
    spec = dataset_spec("amazon_reviews")
    fit, evaluation = read_split(spec, "fit"), read_split(spec, "evaluation")
    assert not {e.document_id for e in fit} & {e.document_id for e in evaluation}
    assert {e.example_id for e in [*fit, *evaluation]} == {row["id"] for row in reviews(600, per_document=3)}
    assert len(fit) % 3 == 0
    # 200 documents, half reserved: within four standard deviations of a fair coin.
    assert abs(len(fit) / 3 - 100) < 4 * 200**0.5 / 2


def test_the_side_of_a_document_does_not_depend_on_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    spec = dataset_spec("amazon_reviews")
    serve(monkeypatch, amazon_reviews=reviews(200))
    whole = {example.example_id for example in read_split(spec, "fit")}
    serve(monkeypatch, amazon_reviews=reviews(200)[::-2])
    half = {example.example_id for example in read_split(spec, "fit")}
    assert half == {row["id"] for row in reviews(200)[::-2]} & whole


def test_the_hash_is_the_one_of_the_first_release() -> None:
    # Any other hash would move documents from one side to the other.
    digest = hashlib.sha256(b"split/movie_reviews/1").hexdigest()[:16]
    assert hash_share("split/movie_reviews/1") == int(digest, 16) / 16**16


def test_documents_with_texts_that_sst2_evaluates_are_never_fitted_on(monkeypatch: pytest.MonkeyPatch) -> None:
    films = [{"id": str(n), "rating": 2, "text": f"Look: {REVIEW}, again ({n})!"} for n in range(40)]
    films += [{"id": str(n), "rating": 2, "text": f"film {n} is fine"} for n in range(40, 80)]
    sentences = [
        {"sentence": f"{REVIEW} ", "label": 1, "idx": 0},
        {"sentence": "Film 41 -- is fine", "label": 1, "idx": 1},
    ]
    serve(monkeypatch, movie_reviews=films, sst2=sentences)
    spec = dataset_spec("movie_reviews")
    fit = {int(example.example_id) for example in read_split(spec, "fit")}
    assert fit
    assert not fit & {*range(40), 41}
    assert {int(example.example_id) for example in read_split(spec, "evaluation")} == set(range(80)) - fit
    alone = dataclasses.replace(spec, exclude_overlap=())
    assert {int(example.example_id) for example in read_split(alone, "fit")} & {*range(40), 41}


def test_all_rows_of_a_benchmark_are_evaluated_and_fitting_reads_the_hubs_split(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sentences = [{"sentence": f"sentence number {n}", "label": n % 2, "idx": n} for n in range(10)]
    serve(monkeypatch, sst2=sentences, sst2_fit=sentences[:3], movie_reviews=[])
    assert len(load_items("sst2")) == 10
    assert sorted(document.document_id for document in load_documents("sst2")) == ["fit-0", "fit-1", "fit-2"]


def test_pairs_for_fitting_share_no_sentence_with_evaluated_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    evaluated = [{"score": 4.0, "sentence1": "A dog runs.", "sentence2": "The dog is running home."}]
    training = [
        {"score": 1.0, "sentence1": "a DOG runs", "sentence2": "Two cups stand there."},
        {"score": 1.0, "sentence1": "Two cups stand there.", "sentence2": "The dog is running home!"},
        {"score": 1.0, "sentence1": "A dog", "sentence2": "runs."},
    ]
    serve(monkeypatch, stsb=evaluated, stsb_fit=training)
    assert [example.example_id for example in read_split(dataset_spec("stsb"), "fit")] == ["fit-2"]


def test_a_side_that_is_none_is_an_error(offline: Path) -> None:
    with pytest.raises(SettingError, match="split must be fit or evaluation, got 'test'"):
        load_documents("sst2", split="test")


@given(st.sets(st.text(min_size=1), min_size=1, max_size=30), st.integers(0, 30), st.integers(0, 3))
def test_a_larger_limit_only_adds(names: set[str], limit: int, seed: int) -> None:
    def key(name: str) -> str:
        return f"{seed}/{name}"

    everything = select(sorted(names), None, key)
    assert sorted(everything) == sorted(names)
    assert select(sorted(names, reverse=True), limit, key) == everything[:limit]


@given(st.lists(st.sampled_from("ab"), max_size=12), st.lists(st.sampled_from("ab"), max_size=12))
def test_runs_meet_exactly_where_texts_share_a_run_or_are_equal(left: list[str], right: list[str]) -> None:
    def windows(words: list[str]) -> list[list[str]]:
        return [words[i : i + 3] for i in range(len(words) - 2)]

    share = left == right or any(window in windows(right) for window in windows(left))
    # A whole text of exactly three words is a run as well.
    assert bool(word_runs(" ".join(left), 3) & word_runs(" ".join(right), 3)) == share


def test_items_and_documents_come_in_an_order_of_seed_and_identifiers(offline: Path) -> None:
    assert [item.item_id for item in load_items("piqa", seed=0)] != []
    assert load_items("piqa", limit=1, seed=3) == load_items("piqa", seed=3)[:1]
    (item,) = [item for item in load_items("boolq") if item.item_id == "1"]
    assert (item.label, item.prompt, item.requests[1]) == (
        0,
        "harness",
        ("Salt is a mineral.\nQuestion: is salt a plant?\nAnswer:", " yes"),
    )
    (document,) = [document for document in load_documents("mrpc", split="evaluation") if document.document_id == "9"]
    assert document.text == "The shop opened on Monday .\nOn Monday , the shop opened ."
    assert document.label == "equivalent"
    assert load_documents("piqa", split="evaluation")[0].label is None


def test_screening_takes_whole_documents_and_leaves_the_first_items(monkeypatch: pytest.MonkeyPatch) -> None:
    serve(monkeypatch, amazon_reviews=reviews(600, per_document=3))
    evaluated = read_split(dataset_spec("amazon_reviews"), "evaluation")
    screened, left = keep_back("amazon_reviews", evaluated, 30)
    assert len(screened) == 30
    assert not {e.document_id for e in screened} & {e.document_id for e in left}
    assert len(left) == len(evaluated) - 30
    key = evaluation_key("amazon_reviews", 0)
    assert select(left, 60, key) == select(evaluated, 60, key)
    items = load_items("amazon_reviews", screening=30)
    kept = {item.document_id for item in load_screening_items("amazon_reviews", items=30)}
    assert [item.item_id for item in items] == [e.example_id for e in select(left, None, key)]
    assert not kept & {item.document_id for item in items}


def test_a_data_set_of_one_document_cannot_be_screened(monkeypatch: pytest.MonkeyPatch) -> None:
    serve(monkeypatch, sst2=[{"sentence": "one film", "label": 1, "idx": 0}])
    with pytest.raises(SettingError, match="null for 'sst2'"):
        load_screening_items("sst2")


TEXTS = st.lists(st.tuples(st.integers(0, 400).map(str), st.sampled_from(["good", "bad", "so so"])), max_size=300)


@given(TEXTS, st.randoms(use_true_random=False))
def test_whether_a_document_is_held_out_is_a_matter_of_the_whole_split_in_any_order(
    texts: list[tuple[str, str]], random: Any
) -> None:
    places = held_out_places("films", texts)
    assert set(places) == {document for document, _ in texts}
    assert all(0 <= place < 1 for place in places.values())
    random.shuffle(texts)
    assert held_out_places("films", texts) == places


@given(st.dictionaries(st.integers(0, 999).map(str), st.sampled_from(["good", "bad", "so so"]), min_size=1),
       st.sampled_from([0.1, 0.25, 0.4]), st.integers(1, 1000))  # fmt: skip
def test_the_same_share_of_each_label_is_held_out_of_the_first_documents_as_of_all(
    labels: dict[str, str], share: float, limit: int
) -> None:
    places = held_out_places("films", labels.items())
    first = select(list(labels), limit, lambda document: f"documents/0/films/{document}")
    for label in set(labels.values()):
        own = [document for document in first if labels[document] == label]
        held_out = sum(places[document] < share for document in own)
        assert abs(held_out - share * len(own)) < 2.5  # by chance it would grow with the root of their number


def test_a_document_of_several_texts_goes_by_the_label_of_most() -> None:
    texts = [(str(n), label) for n in range(80) for label in ("good", "bad" if n % 2 else "good", "bad")]
    alike = held_out_places("films", [(str(n), "bad" if n % 2 else "good") for n in range(80)])
    assert held_out_places("films", texts) == alike
