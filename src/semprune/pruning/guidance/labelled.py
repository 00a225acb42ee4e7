"""What is to be kept as labelled items: a task family, a data set, one of its classes, or a CSV of one's own."""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch

from semprune.data.batches.answers import answer_log_odds, request_places
from semprune.data.batches.batching import pad_items
from semprune.data.batches.encoding import padding_token
from semprune.data.batches.sampling import within_budget
from semprune.data.batches.scorable import encode_items
from semprune.data.calibration.reserved import load_family_items, load_reserved_items
from semprune.data.registry import dataset_names, dataset_spec
from semprune.data.rows.splits import select
from semprune.errors import ConfigurationError, SettingError
from semprune.errors.base import what_it_says
from semprune.pruning.guidance.protected_text import ScoredBatch
from semprune.pruning.guidance.protection import Protection
from semprune.types import Item

ITEMS_SUFFIX = ".csv"
MOST_TOKENS = 256
"""Tokens of an item at most; of a longer one the end is read, where the answer is (ours)."""
TOKEN_BUDGET = 512
"""Padded tokens of a batch (ours)."""
LEAST_ITEMS = 8
"""Fewer items than this say nothing about a meaning (ours)."""
OWN_PROMPT = "Text: {text}\nLabel:"
"""How items of one's own are asked; the labels are the answers."""


def labelled_text(name: str, asked: Protection, tokenizer: Any, max_length: int) -> tuple[ScoredBatch, ...]:
    """Return the batches of what is named by its labels.

    Raises:
        SettingError: There are too few reserved rows or items.
        SempruneError: The rows cannot be had, or a file cannot be read.
    """
    items, choice = _items(name, asked)
    if len(items) < LEAST_ITEMS:
        allowed = f"something with {LEAST_ITEMS} or more items that are never evaluated (there are {len(items)})"
        raise SettingError("protect", name, f"{allowed}; or a CSV of your own items")
    return tuple(_batches(items, choice, tokenizer, min(max_length, MOST_TOKENS)))


def is_of_dataset(name: str) -> bool:
    """Whether a name is that of a data set, or of one of its classes, as ``sst2.positive``.

    Raises:
        SettingError: It is that of a class that the data set does not have.
    """
    dataset, dot, label = name.partition(".")
    if dataset not in dataset_names():
        return False
    classes = dataset_spec(dataset).labels.classes
    if dot and label not in classes:
        raise SettingError("protect", name, f"{dataset} or one of its classes ({', '.join(classes) or 'none'})")
    return True


def _items(name: str, asked: Protection) -> tuple[list[Item], int | None]:
    if name.lower().endswith(ITEMS_SUFFIX):
        return own_items(Path(name), asked), None
    if is_of_dataset(name):
        dataset, _, label = name.partition(".")
        choice = dataset_spec(dataset).labels.classes.index(label) if label else None
        return load_reserved_items(dataset, items=asked.items, seed=asked.seed), choice
    return load_family_items(name, items=asked.items, seed=asked.seed), None


def own_items(path: Path, asked: Protection) -> list[Item]:
    """Read items of one's own: a CSV with the columns ``text`` and ``label``; every label is a choice of every item.

    Raises:
        ConfigurationError: The file cannot be read, or lacks a column, or a row has too little or too much.
        SettingError: There are not two labels.
    """
    rows = _own_rows(path)
    labels = sorted({label for _, label in rows})
    if len(labels) < 2:
        allowed = f"a CSV with two labels or more ({f'all rows are {labels[0]!r}' if labels else 'it has no rows'})"
        raise SettingError("protect", str(path), allowed)
    items = [_own_item(path, place, text, label, labels) for place, (text, label) in enumerate(rows)]
    return select(items, asked.items, lambda item: f"guidance/{asked.seed}/{item.document_id}")


def _own_rows(path: Path) -> list[tuple[str, str]]:
    """Text and label of every row."""
    found = []
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.DictReader(stream)
            columns = reader.fieldnames or []
            if not {"text", "label"} <= set(columns):
                raise ConfigurationError(
                    f"{path} has the columns {', '.join(map(repr, columns)) or 'none'}. Give it a first line with the "
                    "columns text and label, divided by a comma."
                )
            for row in reader:
                text, label = ((row[name] or "").strip() for name in ("text", "label"))
                if None in row or not (text and label):
                    wrong = "more columns than the first line" if None in row else "no text or no label"
                    remedy = "Put a text that holds commas in double quotes, and give every row a text and a label."
                    raise ConfigurationError(f"{path} has {wrong} in line {reader.line_num}. {remedy}")
                found.append((text, label))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ConfigurationError(f"{path} cannot be read ({what_it_says(error)}). Save it as CSV in UTF-8.") from error
    return found


def _own_item(path: Path, place: int, text: str, label: str, labels: Sequence[str]) -> Item:
    context = OWN_PROMPT.format_map({"text": text})
    requests = tuple((context, f" {each}") for each in labels)
    document = hashlib.sha256(text.encode()).hexdigest()[:16]
    return Item(path.stem, str(place), document, requests, labels.index(label), "own")


def _batches(items: Sequence[Item], choice: int | None, tokenizer: Any, max_length: int) -> Iterator[ScoredBatch]:
    encoded = encode_items(tokenizer, items, max_length, truncate="left").items
    plan = within_budget([len(item.rows) for item in encoded], [item.longest for item in encoded], TOKEN_BUDGET)(0)
    for rows in plan:
        padded = pad_items([encoded[index] for index in rows], padding_token(tokenizer))
        score = partial(answer_log_odds, batch=padded, choice=choice)
        choices = [item.label if choice is None else choice for item in padded.items]
        right = torch.cat([padded.item, padded.targets.flatten(), torch.tensor(choices)])
        yield ScoredBatch(padded.input_ids, padded.attention_mask, request_places(padded), score, right, len(rows))
