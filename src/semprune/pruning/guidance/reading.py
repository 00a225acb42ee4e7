"""From names of what is to be kept to its text."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from semprune.concepts.registry import concept_names
from semprune.data.calibration.reserved import task_families
from semprune.data.registry import dataset_names
from semprune.errors import ConfigurationError, UnknownProtectionError
from semprune.pruning.guidance.labelled import ITEMS_SUFFIX, is_of_dataset, labelled_text
from semprune.pruning.guidance.protected_text import ProtectedText
from semprune.pruning.guidance.protection import GENERAL, Protection, parse_protection, protections
from semprune.pruning.guidance.worded import TEXT, is_worded, worded_text


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
    named = [(name, each) for each in asked for name in each.names if name != GENERAL]
    return tuple(_read(name, each, tokenizer, max_length) for name, each in named)


def _read(name: str, asked: Protection, tokenizer: Any, max_length: int) -> ProtectedText:
    check_name(name)
    if is_worded(name) or name in concept_names():
        batches = worded_text(name, asked, tokenizer)
    else:
        batches = labelled_text(name, asked, tokenizer, max_length)
    return ProtectedText(name, asked.strength, batches, asked.weights)


def check_named(text: str) -> None:
    """Refuse what a study's list cannot name, before anything is read.

    Raises:
        SettingError: It is not written as such lists are, or a name comes twice.
        UnknownProtectionError: A name is none of a task family, a data set, a class, a concept or a file.
        ConfigurationError: There is no such file.
    """
    for each in protections(parse_protection(text)):
        for name in each.names:
            check_name(name)


def check_name(name: str) -> None:
    """Refuse the name of nothing that can be kept, before anything is read.

    Raises:
        UnknownProtectionError: It is none of a task family, a data set, a class, a concept or a file.
        SettingError: It is a class that a data set does not have.
        ConfigurationError: There is no such file.
    """
    if is_worded(name) or name.lower().endswith(ITEMS_SUFFIX):
        file = Path(name.removeprefix(TEXT))
        if not file.is_file():
            raise ConfigurationError(f"there is no file {file}, which is named to be protected. Check its path.")
        return
    if name == GENERAL or name in concept_names() or is_of_dataset(name):
        return
    families = task_families()  # last: every data set's file is read for them
    if name not in families:
        raise UnknownProtectionError(name, [GENERAL, *families, *dataset_names(), *concept_names()])
