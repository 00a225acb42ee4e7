"""From names of what is to be kept to its text."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from semprune.concepts.registry import concept_names
from semprune.data.calibration.reserved import task_families
from semprune.data.registry import dataset_names
from semprune.errors import UnknownProtectionError
from semprune.pruning.guidance.labelled import labelled_text
from semprune.pruning.guidance.protected_text import ProtectedText
from semprune.pruning.guidance.protection import Protection
from semprune.pruning.guidance.worded import worded_text


def read_protected(asked: Iterable[Protection], tokenizer: Any, max_length: int) -> tuple[ProtectedText, ...]:
    """Return the text of everything that is to be kept; none of it is of rows that are evaluated.

    Args:
        asked: What is to be kept.
        tokenizer: The model's tokenizer.
        max_length: Tokens that the model can read.

    Raises:
        UnknownProtectionError: A name is none of a task family, a data set, a class, a concept or a file.
        SettingError: There is too little text of it.
        SempruneError: Its text cannot be had.
    """
    return tuple(_read(name, each, tokenizer, max_length) for each in asked for name in each.names)


def _read(name: str, asked: Protection, tokenizer: Any, max_length: int) -> ProtectedText:
    batches = labelled_text(name, asked, tokenizer, max_length) or worded_text(name, asked, tokenizer)
    if batches is None:
        raise UnknownProtectionError(name, [*task_families(), *dataset_names(), *concept_names()])
    return ProtectedText(name, asked.strength, batches)
