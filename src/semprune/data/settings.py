"""Settings that are parts of others, the names that they had before, and checks of their values."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import ParamSpec

from semprune.errors import RenamedSettingError, SettingError
from semprune.types import Count, Length, Limit, PartOrNone

Settings = ParamSpec("Settings")


@dataclass(frozen=True)
class CalibrationSettings:
    """Text that pruning methods look at.

    Attributes:
        name: Calibration set (c4 is what pruning papers use), or a mixture such as c4*0.5+wiki*0.5.
        sequences: Number of sequences; 64 × 512 tokens take a minute on two cores. Papers use 128 × 2048.
        length: Tokens of each sequence, special tokens included.
        add_bos: Whether each sequence begins with BOS; null as the tokenizer begins every text, false never, as the
            pruning papers cut their windows, true always.
    """

    name: str = "c4"
    sequences: Count = 64
    length: Length = 512
    add_bos: bool | None = None


@dataclass(frozen=True)
class DocumentSettings:
    """Documents whose held-out part is read; with the values of a fit, they are those of its validation.

    Attributes:
        datasets: Names of data sets that reserve documents for fitting.
        limit: Texts of each, training and validation together; null for all.
        max_length: Tokens kept of each text.
        batch_size: Texts in a batch over all ranks.
        validation_share: Share of documents held out, in [0, 1).
    """

    datasets: list[str]
    limit: Limit = None
    max_length: Length = 128
    batch_size: Count = 32
    validation_share: PartOrNone = 0.25


RENAMED = {
    "calibration_sequences": "calibration.sequences",
    "calibration_length": "calibration.length",
    "document_limit": "documents.limit",
    "document_length": "documents.max_length",
    "document_batch_size": "documents.batch_size",
    "validation_share": "documents.validation_share",
}
"""Settings of an evaluation that have become settings of its parts."""


def refuse_renamed(init: Callable[Settings, None]) -> Callable[Settings, None]:
    """Wrap an ``__init__`` so that a name of :data:`RENAMED` is an error that says the new one."""

    @functools.wraps(init)
    def checked(*arguments: Settings.args, **settings: Settings.kwargs) -> None:
        for name in RENAMED.keys() & settings:
            raise RenamedSettingError(type(arguments[0]).__name__, name, RENAMED[name])
        init(*arguments, **settings)

    return checked


def names_of(setting: str, got: list[str]) -> tuple[str, ...]:
    """Return data sets' names.

    Raises:
        SettingError: If there are none, or one is there twice.
    """
    if not got or len(set(got)) < len(got):
        raise SettingError(setting, got, "one or more data sets, each once")
    return tuple(got)
