"""What a calibration set's YAML may say: frozen dataclasses, one field per key."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class TextHubSource:
    """Where the hub keeps a calibration text: the first ``rows`` rows of one column, streamed.

    Your own text file: ``path: text``, ``data_files: FILE``, ``split: train``, ``column: text``; a line is a row.
    """

    path: str
    split: str
    column: str
    rows: int
    config: str | None = None
    data_files: str | None = None


@dataclass(frozen=True, slots=True)
class TextFileSource:
    """Where an offline package keeps a calibration text."""

    asset: str
    file: str
    encoding: str = "utf-8"


@dataclass(frozen=True, slots=True)
class CalibrationSpec:
    """One calibration set, as its YAML declares it: a text of its own, or made of something else.

    Attributes:
        name: Unique name, that of the file.
        about: One line for lists.
        licence: Licence, or that it is not stated.
        hub: Source on the hub.
        offline: Source in an offline package.
        strip: Regular expressions that are removed from the text.
        documents: Data sets whose reserved texts make the text.
        prompts: Data sets whose reserved examples make it, each as its first prompt with the right answer.
        made: ``random_tokens`` (drawn evenly from the vocabulary) or ``generated`` (written by the pruned model's dense
            self); None for a text.
    """

    name: str
    about: str
    licence: str
    hub: TextHubSource | None = None
    offline: TextFileSource | None = None
    strip: tuple[str, ...] = ()
    documents: tuple[str, ...] = ()
    prompts: tuple[str, ...] = ()
    made: Literal["random_tokens", "generated"] | None = None
