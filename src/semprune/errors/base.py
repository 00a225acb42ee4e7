"""The base of all errors, unknown names, and settings that cannot be run."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import ClassVar, Final

MOST_SHOWN: Final = 200


class SempruneError(Exception):
    """Base of all errors that a user's input, files or machine can cause."""

    def __init_subclass__(cls, **settings: object) -> None:
        """Name errors by where they are imported from, whichever room's file they stand in."""
        super().__init_subclass__(**settings)
        if cls.__module__.startswith(f"{__package__}."):
            cls.__module__ = __package__


class UnknownNameError(SempruneError):
    """A name that no registry knows; lists the known ones and the nearest.

    Example:
        >>> raise UnknownNameError("wnda", ["ria", "wanda"])
        Traceback (most recent call last):
        ...
        semprune.errors.UnknownNameError: unknown name 'wnda'; did you mean 'wanda'? Known: ria, wanda.
    """

    kind: ClassVar[str] = "name"
    remedy: ClassVar[str] = ""
    most: ClassVar[int] = 40  # names that are all listed; of more, the nearest ``shown``
    shown: ClassVar[int] = 12

    def __init__(self, got: str, known: Iterable[str]) -> None:
        """Compose the message from what was got and what is known."""
        self.got = got
        self.known = sorted(known)
        near = difflib.get_close_matches(got.lower(), [name.lower() for name in self.known], n=1, cutoff=0.5)
        named = {name.lower(): name for name in self.known}
        hint = f"; did you mean '{named[near[0]]}'?" if near else "."
        super().__init__(f"unknown {self.kind} '{got}'{hint} Known: {self._listed()}.{self.remedy}")

    def _listed(self) -> str:
        """All known names, or the nearest ones where the list would fill the screen."""
        if len(self.known) <= self.most:
            return ", ".join(self.known)
        nearest = difflib.get_close_matches(self.got, self.known, n=self.shown, cutoff=0.0)
        return f"{', '.join(nearest)} and {len(self.known) - len(nearest)} more"


class SparsityRangeError(SempruneError):
    """Sparsity outside [0, 1).

    Example:
        >>> raise SparsityRangeError(50)
        Traceback (most recent call last):
        ...
        semprune.errors.SparsityRangeError: sparsity must be in [0, 1), got 50. A percentage? Pass 0.5.
    """

    def __init__(self, got: float) -> None:
        """Compose the message; guess at a percentage."""
        hint = f" A percentage? Pass {got / 100:g}." if 1 <= got < 100 else " It is the share of weights set to zero."
        super().__init__(f"sparsity must be in [0, 1), got {got:g}.{hint}")


class SettingError(SempruneError):
    """A setting with a value it cannot have."""

    def __init__(self, setting: str, got: object, allowed: str) -> None:
        """Name the setting, what was got and what is allowed."""
        super().__init__(f"{setting} must be {allowed}, got {shortly(got)}.")


class ConfigurationError(SempruneError):
    """A configuration that cannot be run as it stands."""


def shortly(value: object) -> str:
    """A value as a message shows it: its ``repr``, cut where it would fill the screen.

    Example:
        >>> shortly([1, 2]), len(shortly("x" * 100_000))
        ('[1, 2]', 201)
    """
    shown = repr(value)
    return shown if len(shown) <= MOST_SHOWN else f"{shown[:MOST_SHOWN]}…"


def first_line(error: BaseException) -> str:
    """Return the first line of what an error says, without a full stop."""
    return (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")


def some_of(names: Iterable[str], shown: int = 5) -> str:
    """Return the first names of a list, and how many more there are.

    Example:
        >>> some_of(["b", "a", "c"], shown=2)
        'a, b and 1 more'
    """
    listed = sorted(names)
    return ", ".join(listed[:shown]) + (f" and {len(listed) - shown} more" if listed[shown:] else "")


def what_it_says(error: BaseException, most: int = 240) -> str:
    r"""Return what a library's error says in one line, with its kind where the words alone say little.

    Example:
        >>> what_it_says(KeyError("rope_type"))
        "KeyError: 'rope_type'"
        >>> what_it_says(ValueError("no such\n   file."))
        'no such file'
    """
    text = " ".join(str(error).split()).rstrip(".!")
    if not text or isinstance(error, LookupError | TypeError | AttributeError | ArithmeticError):
        text = f"{type(error).__name__}: {text}".removesuffix(": ")
    return text if len(text) <= most else f"{text[: most - 1]}…"
