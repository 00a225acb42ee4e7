"""One data set's answers as arrays of models × items, and how they are gathered from rows in any order."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Float, Int

NO_ANSWER = -1


@dataclass(frozen=True, slots=True)
class DatasetAnswers:
    """All models' answers to one data set, items by prompt and name.

    Attributes:
        name: The data set.
        prompts: Prompt of each item.
        items: Identifier of each item.
        document: Number of each item's document; items of one are not independent.
        label: Right choice of each item.
        choices: Of the item that the dense model answers first; 0 where it answers none.
        right: 1 where a model's answer is right, 0 where it is wrong, :data:`NO_ANSWER` where it gave none.
        normalised: The same by scores divided by the choices' characters; without any where these are not known.
        scores: Log-probability of each choice, NaN where an item has fewer or no answer; without choices where scores
            were not kept.
    """

    name: str
    prompts: list[str]
    items: list[str]
    document: Int[np.ndarray, " items"]
    label: Int[np.ndarray, " items"]
    choices: int
    right: Int[np.ndarray, "models items"]
    normalised: Int[np.ndarray, "models items"]
    scores: Float[np.ndarray, "models items choices"]


class Names:
    """Texts, numbered as they come."""

    def __init__(self) -> None:
        """None so far."""
        self._codes: dict[str, int] = {}
        self._texts: list[str] = []
        self._last: tuple[pa.Array, Int[np.ndarray, " texts"]] | None = None

    def __getitem__(self, code: int) -> str:
        """The text of a number."""
        return self._texts[code]

    def code(self, text: str) -> int:
        """The number of a text, a new one for a new text."""
        if text not in self._codes:
            self._codes[text] = len(self._texts)
            self._texts.append(text)
        return self._codes[text]

    def codes(self, column: pa.Array) -> Int[np.ndarray, " rows"]:
        """The numbers of a column's texts."""
        if not pa.types.is_dictionary(column.type):
            column = column.dictionary_encode()
        if self._last is None or not self._last[0].equals(column.dictionary):  # most batches have the same
            texts = column.dictionary.to_pylist()
            self._last = column.dictionary, np.array([self.code(text) for text in texts], dtype=np.int64)
        codes: Int[np.ndarray, " rows"] = self._last[1][column.indices.to_numpy(zero_copy_only=False)]
        return codes


class DatasetBuilder:
    """Gathers the answers to one data set. Of an answer that is stated again the first counts."""

    def __init__(self, name: str, prompts: Names, items: Names, keep_scores: bool) -> None:
        """No rows so far."""
        self._name, self._prompts, self._items, self._keep_scores = name, prompts, items, keep_scores
        self._keys = pd.Index([], dtype=np.int64)  # prompt and name of each item, as numbers
        self._document = np.empty(0, dtype=np.int64)
        self._label = np.empty(0, dtype=np.int64)
        self._choices = 0
        self._right: dict[int, Int[np.ndarray, " items"]] = {}
        self._normalised: dict[int, Int[np.ndarray, " items"]] = {}
        self._scores: dict[int, Float[np.ndarray, "items choices"]] = {}

    def add(
        self,
        model: int,
        is_dense: bool,
        keys: Int[np.ndarray, " rows"],
        document: Int[np.ndarray, " rows"],
        label: Int[np.ndarray, " rows"],
        prediction: Int[np.ndarray, " rows"],
        scores: pa.Array,
        lengths: pa.Array | None,
    ) -> None:
        """Add rows of one model.

        Raises:
            ValueError: An item has two labels.
        """
        place = self._places(keys, document, label)
        if is_dense and not self._choices:
            self._choices = len(scores[0])
        known = _padded(self._right.get(model), (len(self._keys),), NO_ANSWER, np.int8)
        first = np.full(len(self._keys), -1)
        first[place[::-1]] = np.arange(len(place))[::-1]  # of what is stated twice here, the first
        new = np.flatnonzero((first >= 0) & (known == NO_ANSWER))  # items
        rows = first[new]
        known[new] = prediction[rows] == label[rows]
        self._right[model] = known
        if lengths is not None and len(new):
            shown = _padded(self._normalised.get(model), (len(self._keys),), NO_ANSWER, np.int8)
            per_character = _matrix(scores)[rows] / _matrix(lengths)[rows]
            shown[new] = np.nanargmax(per_character, axis=1) == label[rows]
            self._normalised[model] = shown
        if self._keep_scores and len(new):
            values = _matrix(scores)
            before = self._scores.get(model)
            width = max(values.shape[1], 0 if before is None else before.shape[1])
            kept = _padded(before, (len(self._keys), width), np.nan, np.float64)
            kept[new, : values.shape[1]] = values[rows]
            self._scores[model] = kept

    def _places(
        self, keys: Int[np.ndarray, " rows"], document: Int[np.ndarray, " rows"], label: Int[np.ndarray, " rows"]
    ) -> Int[np.ndarray, " rows"]:
        """Which item each row is of; items that no row was of before come last."""
        place = self._keys.get_indexer(pd.Index(keys))
        if (place < 0).any():
            unseen = np.flatnonzero(place < 0)
            _, firsts = np.unique(keys[unseen], return_index=True)
            fresh = unseen[np.sort(firsts)]
            self._keys = self._keys.append(pd.Index(keys[fresh]))
            self._document = np.append(self._document, document[fresh])
            self._label = np.append(self._label, label[fresh])
            place = self._keys.get_indexer(pd.Index(keys))
        twice = np.flatnonzero(self._label[place] != label)
        if len(twice):
            item = self._items[int(keys[twice[0]]) & 0xFFFFFFFF]
            raise ValueError(f"item {item} of data set {self._name} has two labels")
        found: Int[np.ndarray, " rows"] = place
        return found

    def finished(self, models: int) -> DatasetAnswers:
        """All of it, items by prompt and name.

        Args:
            models: Number of models, also of those that did not answer this data set.
        """
        keys = self._keys.to_numpy()
        named = [(self._prompts[key >> 32], self._items[key & 0xFFFFFFFF]) for key in keys.tolist()]
        order = np.array(sorted(range(len(named)), key=named.__getitem__), dtype=np.int64)
        width = max((scores.shape[1] for scores in self._scores.values()), default=0)
        right = np.full((models, len(order)), NO_ANSWER, dtype=np.int8)
        scores = np.full((models, len(order), width), np.nan)
        normalised = right.copy()
        for answers, gathered in ((right, self._right), (normalised, self._normalised)):
            for model, own in gathered.items():
                answers[model] = _padded(own, (len(order),), NO_ANSWER, np.int8)[order]
        for model in list(self._scores):
            scores[model] = _padded(self._scores.pop(model), (len(order), width), np.nan, np.float64)[order]
        return DatasetAnswers(
            self._name,
            [named[place][0] for place in order],
            [named[place][1] for place in order],
            pd.factorize(self._document[order])[0],
            self._label[order],
            self._choices,
            right,
            normalised,
            scores,
        )


def _padded(array: np.ndarray | None, shape: tuple[int, ...], filler: float, dtype: type) -> np.ndarray:
    """The array itself if it has the shape already, else one of the shape that begins with it."""
    if array is not None and array.shape == shape:
        return array
    padded: np.ndarray = np.full(shape, filler, dtype=dtype)
    if array is not None:
        padded[tuple(slice(length) for length in array.shape)] = array
    return padded


def _matrix(scores: pa.Array) -> Float[np.ndarray, "rows choices"]:
    """Lists of numbers as rows, with NaN after the end of shorter ones."""
    lengths = pc.list_value_length(scores).to_numpy(zero_copy_only=False)
    values = scores.flatten().to_numpy(zero_copy_only=False).astype(np.float64, copy=False)
    width = int(lengths.max(initial=0))
    matrix: Float[np.ndarray, "rows choices"] = np.full((len(lengths), width), np.nan)
    matrix[np.arange(width) < lengths[:, None]] = values
    return matrix
