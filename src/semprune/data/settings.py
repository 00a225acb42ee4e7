"""Settings that are parts of others, the names that they had before, and checks of their values."""

from __future__ import annotations

import datetime
import functools
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal, ParamSpec

from semprune.errors import RenamedSettingError, SettingError
from semprune.errors.data import RENAMED
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


@dataclass(frozen=True)
class ChatSettings:
    """How a tokenizer's chat template is filled.

    Attributes:
        options: Options of the template itself, such as enable_thinking; each must be one that it reads.
        date: The day that a template which asks for today's date is told, as YYYY-MM-DD; the same whenever a run is
            repeated. The default is what Llama 3's templates say where there is no clock.
        thought: What to do where the template begins the answer with a thought, in which no choice is an answer:
            error, or close (an empty thought: the answer follows at once).
    """

    options: dict[str, Any] = field(default_factory=dict)
    date: str = "2024-07-26"
    thought: Literal["error", "close"] = "error"

    @property
    def day(self) -> datetime.date:
        """The date."""
        return datetime.date.fromisoformat(self.date)


def chat_settings(chat: bool | ChatSettings | None) -> ChatSettings | None:
    """Return the settings of a chat; None where none is asked for.

    Raises:
        SettingError: If a setting has a value that it cannot have.

    Example:
        >>> chat_settings(True), chat_settings(False)
        (ChatSettings(options={}, date='2024-07-26', thought='error'), None)
    """
    settings = ChatSettings() if chat is True else chat or None
    if settings is None:
        return None
    try:
        _ = settings.day
    except (TypeError, ValueError) as error:
        raise SettingError("chat.date", settings.date, "a date such as '2024-07-26', in quotes") from error
    if settings.thought not in ("error", "close"):
        raise SettingError("chat.thought", settings.thought, "error or close")
    return settings


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
