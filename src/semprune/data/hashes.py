"""Hashes that say which data a result is of: the items as a model reads them, and the declaration that made them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from semprune.data.registry import dataset_yaml
from semprune.types import Document, Item


def hash_items(items: Iterable[Item]) -> str:
    """SHA-256 over data sets, identifiers, rendered requests, labels and grades, in hex: names items in artefacts.

    Args:
        items: In the order in which they count.

    Example:
        >>> first, second = (Item("toy", str(n), str(n), (("a", " b"),), 0, "ask") for n in (1, 2))
        >>> hash_items([first, second]) == hash_items([first, second]), hash_items([first]) == hash_items([second])
        (True, False)
    """
    digest = hashlib.sha256()
    for item in items:
        parts = [item.dataset, item.item_id, *(text for request in item.requests for text in request), str(item.label)]
        if item.grade is not None:
            parts.append(repr(item.grade))
        digest.update("\0".join((*parts, "")).encode())
    return digest.hexdigest()


def hash_documents(documents: Iterable[Document]) -> str:
    """SHA-256 over data sets, identifiers and texts, in hex: names the data in artefacts."""
    digest = hashlib.sha256()
    for document in documents:
        digest.update("\0".join((document.dataset, document.document_id, document.text, "")).encode())
    return digest.hexdigest()


def hash_contents(things: Iterable[object]) -> str:
    """SHA-256 over all that frozen dataclasses (items, documents, concepts) hold, in hex: what was read.

    Example:
        >>> one, other = (Document("films", "1", "fine", label) for label in ("good", "bad"))
        >>> hash_contents([one]) == hash_contents([one]), hash_contents([one]) == hash_contents([other])
        (True, False)
    """
    digest = hashlib.sha256()
    for thing in things:
        digest.update(f"{thing!r}\n".encode())
    return digest.hexdigest()


def hash_declaration(name: str) -> str:
    """SHA-256 of a data set's YAML, in hex: its sources, splits, rules, prompts and metrics.

    Args:
        name: One of :func:`semprune.data.dataset_names`.

    Raises:
        UnknownDatasetError: If there is none of that name.
    """
    return hashlib.sha256(dataset_yaml(name).encode()).hexdigest()
