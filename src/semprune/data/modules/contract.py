"""What a fit reads of a data module, semprune's own or anybody's, said and checked in one place."""

from __future__ import annotations

from typing import Any, NamedTuple

from semprune.errors import DataContractError
from semprune.types import DocumentBatch

NEEDED = (
    "a fit reads `datasets` and `classes` (lists of names), `max_length` (or `length`, the most tokens of a text), and "
    "loaders of DocumentBatch"
)


class FitData(NamedTuple):
    """What a fit reads of a data module before the first batch.

    Attributes:
        classes: Names ``dataset.class``; ``DocumentBatch.label`` is an index into them, -1 for none.
        datasets: Names; ``DocumentBatch.dataset`` is an index into them.
        longest: Most tokens of a text.
    """

    classes: tuple[str, ...]
    datasets: tuple[str, ...]
    longest: int


def fit_data(data: Any) -> FitData:
    """Return what a fit reads of a data module, after its ``setup``.

    Args:
        data: Any LightningDataModule; None where loaders were handed to the trainer by themselves.

    Raises:
        DataContractError: It lacks something, or it is of another kind.

    Example:
        >>> from types import SimpleNamespace
        >>> fit_data(SimpleNamespace(classes=["film.bad"], datasets=["film"], max_length=64)).longest
        64
    """
    owner = type(data).__name__
    if data is None:
        raise DataContractError("None", "was given", NEEDED)
    longest = getattr(data, "max_length", None) or getattr(data, "length", None)
    lacks = [name for name in ("datasets", "classes") if getattr(data, name, None) is None]
    lacks += ["max_length"] if longest is None else []
    if lacks:
        raise DataContractError(owner, f"has no {', '.join(lacks)}", NEEDED)
    for name in ("datasets", "classes"):
        names = getattr(data, name)
        if isinstance(names, str) or not all(isinstance(each, str) for each in names):
            raise DataContractError(owner, f"has {name} {names!r}", NEEDED)
    if not isinstance(longest, int) or longest < 1:
        raise DataContractError(owner, f"has max_length {longest!r}", NEEDED)
    return FitData(tuple(data.classes), tuple(data.datasets), longest)


def document_batch_of(batch: Any) -> DocumentBatch:
    """Return a batch of documents as it is.

    Raises:
        DataContractError: It is something else.
    """
    if not isinstance(batch, DocumentBatch):
        raise DataContractError("of this run", f"has batches of {type(batch).__name__}", NEEDED)
    return batch
