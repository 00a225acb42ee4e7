"""Items of the controls of causal gates: in words of one's own, and with the labels of other items."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from semprune.data import dataset_spec, load_documents, load_items
from semprune.data.prompts.render import ALL_PROMPTS
from semprune.errors import SettingError
from semprune.types import Item


@dataclass
class Wording:
    """A question about a text that no data set asks.

    Attributes:
        name: Of it, in tables.
        context: What stands before the answer; ``{text}`` is the text.
        answers: Of each class its answer, with the blank before it.
    """

    name: str
    context: str
    answers: dict[str, str]


def asked_items(dataset: str, wording: Wording, limit: int | None = None, seed: int = 0) -> list[Item]:
    """Held-out texts of a data set's classes, in a wording that is not the data set's.

    Raises:
        SettingError: The wording has no place for the text, or other classes than the data set.
        UnknownDatasetError: There is no such data set.
    """
    classes = dataset_spec(dataset).labels.classes
    if "{text}" not in wording.context:
        raise SettingError("wordings", wording.context, "a context with {text} in it")
    if set(wording.answers) != set(classes):
        raise SettingError("wordings", wording.answers, f"an answer for each class of {dataset}: {', '.join(classes)}")
    documents = load_documents(dataset, split="evaluation", limit=limit, seed=seed)
    return [
        Item(
            dataset, f"{document.document_id}/{place}", document.document_id,
            tuple((wording.context.replace("{text}", document.text), wording.answers[name]) for name in classes),
            classes.index(document.label), wording.name,
        )
        for place, document in enumerate(documents) if document.label is not None
    ]  # fmt: skip


def held_out_items(
    datasets: Sequence[str], wordings: Sequence[Wording], limit: int | None, seed: int = 0
) -> list[Item]:
    """Items of data sets in all their own wordings and in further ones.

    Raises:
        SettingError: See :func:`asked_items`.
        UnknownDatasetError: There is no such data set.
    """
    items: list[Item] = []
    for name in datasets:
        items += load_items(name, limit=limit, seed=seed, prompt=ALL_PROMPTS)
        for wording in wordings:
            items += asked_items(name, wording, limit, seed)
    return items


def answers_of(items: Sequence[Item]) -> set[tuple[str, ...]]:
    """The answers that items choose from.

    Example:
        >>> answers_of([Item("sst2", "1", "1", (("Good?", " yes"), ("Good?", " no")), 0, "liked")])
        {(' yes', ' no')}
    """
    return {tuple(answer for _, answer in item.requests) for item in items}


def permuted_items(items: Sequence[Item], seed: int) -> list[Item]:
    """Items with the labels of others: each text has one wrong label, in all its wordings.

    Labels keep their frequencies; what a text says of them is cut.

    Example:
        >>> items = [Item("own", str(n), str(n), (("", " a"), ("", " b")), n % 2, "p") for n in range(6)]
        >>> [item.label for item in permuted_items(items, 0)]
        [1, 0, 1, 0, 0, 1]
    """
    labels: Mapping[tuple[str, str], int] = {(item.dataset, item.item_id): item.label for item in items}
    order = np.random.default_rng(seed).permutation(len(labels))
    values = list(labels.values())
    given = {key: values[place] for key, place in zip(labels, order, strict=True)}
    return [replace(item, label=given[item.dataset, item.item_id]) for item in items]
