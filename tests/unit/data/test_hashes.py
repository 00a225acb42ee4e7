"""Hashes change with everything that a model reads or is judged by, and with nothing else."""

from __future__ import annotations

import dataclasses
import hashlib
from pathlib import Path

import pytest

from semprune.data import dataset_names, load_items
from semprune.data.hashes import hash_declaration, hash_items
from semprune.data.registry import dataset_yaml
from semprune.errors import UnknownDatasetError
from semprune.types import Item

ITEM = Item("toy", "1", "d", (("a", " b"), ("a", " c")), 0, "ask")


def test_the_hash_is_sha256_of_what_is_read() -> None:
    assert hash_items([ITEM]) == hashlib.sha256(b"toy\x001\x00a\x00 b\x00a\x00 c\x000\x00").hexdigest()
    graded = dataclasses.replace(ITEM, grade=2.5)
    assert hash_items([graded]) == hashlib.sha256(b"toy\x001\x00a\x00 b\x00a\x00 c\x000\x002.5\x00").hexdigest()


@pytest.mark.parametrize(
    "change",
    [
        {"dataset": "other"},
        {"item_id": "2"},
        {"requests": (("a", " b"), ("a", " d"))},
        {"requests": (("b", " b"), ("a", " c"))},
        {"label": 1},
        {"grade": 0.0},
    ],
)
def test_every_part_counts(change: dict[str, object]) -> None:
    assert hash_items([dataclasses.replace(ITEM, **change)]) != hash_items([ITEM])


def test_order_counts_and_prompts_differ(offline: Path) -> None:
    items = load_items("sst2")
    assert hash_items(items) == hash_items(load_items("sst2"))
    assert hash_items(items[::-1]) != hash_items(items)
    assert len({hash_items(load_items("sst2", prompt=name)) for name in ("harness", "review", "good_or_bad")}) == 3


def test_declarations_are_hashed_as_they_are_written() -> None:
    hashes = {name: hash_declaration(name) for name in dataset_names()}
    assert len(set(hashes.values())) == len(hashes)
    assert hashes["sst2"] == hashlib.sha256(dataset_yaml("sst2").encode()).hexdigest()
    with pytest.raises(UnknownDatasetError, match="did you mean 'sst2'"):
        hash_declaration("sst")
