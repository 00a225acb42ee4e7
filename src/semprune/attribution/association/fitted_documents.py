"""Which documents an association was fitted on, so that none of them is ever read as held out."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Int
from torch import Tensor

from semprune.errors import FittedDocumentError
from semprune.types import Document, Item

logger = logging.getLogger("semprune.attribution")


@dataclass(frozen=True)
class FittedDocuments:
    """The documents of a fit, by their identifiers.

    Attributes:
        hashes: First 8 bytes of the SHA-256 of each document's data set and identifier, sorted. Two of a million
            documents share one with a probability of 3e-8.
        digest: SHA-256 over the sorted identifiers, in hex.
        datasets: Names of the data sets.
        validation_share: Share of their documents that was held out.
        seed: What a limit selected by.
    """

    hashes: Int[Tensor, " documents"]
    digest: str
    datasets: tuple[str, ...]
    validation_share: float
    seed: int

    @classmethod
    def of(
        cls, documents: Iterable[Document], datasets: Sequence[str], validation_share: float, seed: int
    ) -> FittedDocuments:
        """Note documents that are about to be fitted; several texts of one document count once.

        Example:
            >>> fitted = FittedDocuments.of([Document("films", n, "fine") for n in "121"], ["films"], 0.25, 0)
            >>> fitted.read_by([Document("films", "2", "fine"), Document("shops", "1", "fine")])
            ['films/2']
        """
        names = sorted({name_of(document) for document in documents})
        digest = hashlib.sha256("\n".join(names).encode()).hexdigest()
        hashes = torch.tensor(sorted(map(short_hash, names)), dtype=torch.int64)
        return cls(hashes, digest, tuple(datasets), validation_share, seed)

    def read_by(self, documents: Iterable[Document | Item]) -> list[str]:
        """Names of those documents that were fitted, each once."""
        fitted = set(self.hashes.tolist())
        return [name for name in dict.fromkeys(map(name_of, documents)) if short_hash(name) in fitted]


def require_held_out(fitted: FittedDocuments | None, documents: Sequence[Document | Item]) -> None:
    """Refuse to read documents as held out that were fitted.

    Args:
        fitted: The documents of the fit; where an older one did not keep them, only a log line says so.
        documents: What is about to be read.

    Raises:
        FittedDocumentError: Some were fitted.
    """
    if fitted is None:
        logger.warning(
            "the fit does not say which documents it read: it was stored before that was kept. What is read now is "
            "held out only if `validation_share` is the fit's, or less."
        )
        return
    read = fitted.read_by(documents)
    if read:
        raise FittedDocumentError(len(read), len(set(map(name_of, documents))), read[0], fitted.validation_share)


def name_of(document: Document | Item) -> str:
    """Identifier of a document among all data sets."""
    return f"{document.dataset}/{document.document_id}"


def short_hash(name: str) -> int:
    """First 8 bytes of the SHA-256 of a name, as a signed number."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "little", signed=True)
