"""Scores that are kept: nothing is scored twice by the same weights."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from pyarrow import ArrowException

from semprune.backbones import fingerprint_model
from semprune.data.batches.encoding import EncodedRequest
from semprune.errors import CorruptArtefactError
from semprune.evaluation.engine.request_scorer import ENGINE_VERSION
from semprune.io.files import read_parquet, write_parquet

UNRELATED = ("_name_or_path", "transformers_version", "architectures")
"""Parts of a model's configuration that do not change its scores."""


class ScoreCache:
    """Scores of items by one model as it is in memory.

    They are found again by the hash of the weights in memory (with the configuration, the engine's version and how
    attention is computed), by data set and prompt, and by the token ids of each item. The weights' hash stands for the
    model's fingerprint and for its masks, however these came about; the token ids stand for the item's text, the
    prompt, the examples before it, truncation and the tokenizer. An item of another limit or seed is found too.

    Attributes:
        folder: ``folder/<model>/<data set>.<prompt>.parquet`` holds the scores.
        found: How many items were found.
    """

    def __init__(self, folder: Path, model: Any) -> None:
        """Hash the model: 0.5 s per 100 M parameters in fp32; nothing is read yet."""
        self.folder = folder / model_key(model)
        self.found = 0
        self._tables: dict[Path, dict[str, tuple[float, ...]]] = {}
        self._changed: set[Path] = set()

    def get(self, dataset: str, prompt: str, requests: Sequence[EncodedRequest]) -> tuple[float, ...] | None:
        """Return the scores of an item's requests, or None where they are not known.

        Raises:
            CorruptArtefactError: If the file of this data set and prompt cannot be read.
        """
        scores = self._table(self._path(dataset, prompt)).get(item_hash(requests))
        self.found += scores is not None
        return scores

    def put(self, dataset: str, prompt: str, requests: Sequence[EncodedRequest], scores: tuple[float, ...]) -> None:
        """Keep the scores of an item's requests, in memory until :meth:`save`."""
        path = self._path(dataset, prompt)
        self._table(path)[item_hash(requests)] = scores
        self._changed.add(path)

    def save(self) -> None:
        """Write what is new, each file atomically, together with what others have written meanwhile."""
        for path in sorted(self._changed):
            table = _read(path) | self._tables[path]
            keys = sorted(table)
            write_parquet(path, pd.DataFrame({"item": keys, "scores": [list(table[key]) for key in keys]}))
        self._changed.clear()

    def _path(self, dataset: str, prompt: str) -> Path:
        return self.folder / f"{dataset}.{prompt}.parquet"

    def _table(self, path: Path) -> dict[str, tuple[float, ...]]:
        if path not in self._tables:
            self._tables[path] = _read(path)
        return self._tables[path]


def model_key(model: Any) -> str:
    """Name a model by what its scores depend on: weights in memory, configuration, attention, engine.

    Args:
        model: A Hugging Face model.

    Returns:
        32 hexadecimal digits.
    """
    config = model.config.to_dict()
    facts = {
        "engine": ENGINE_VERSION,
        "weights": fingerprint_model(model).weights_sha256,
        "class": type(model).__name__,
        "attention": str(getattr(model.config, "_attn_implementation", None)),
        "config": {name: value for name, value in config.items() if name not in UNRELATED},
    }
    return hashlib.sha256(json.dumps(facts, sort_keys=True, default=str).encode()).hexdigest()[:32]


def item_hash(requests: Sequence[EncodedRequest]) -> str:
    """Hash the token ids of an item's requests, and where their continuations begin.

    Example:
        >>> first, second = EncodedRequest((5, 6), (7,), 1), EncodedRequest((5, 6), (8,), 1)
        >>> item_hash([first]) == item_hash([first]), item_hash([first]) == item_hash([second])
        (True, False)
    """
    parts = [[request.start, request.input_ids, request.targets] for request in requests]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:32]


def _read(path: Path) -> dict[str, tuple[float, ...]]:
    if not path.is_file():
        return {}
    try:
        table = read_parquet(path)
        return {str(key): tuple(map(float, scores)) for key, scores in zip(table["item"], table["scores"], strict=True)}
    except (OSError, ArrowException, KeyError, TypeError, ValueError) as error:
        raise CorruptArtefactError(path, str(error), "Delete it: its scores are computed again.") from error
