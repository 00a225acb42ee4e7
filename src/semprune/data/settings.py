"""Checks of the numbers that data modules take."""

from __future__ import annotations

from semprune.errors import SettingError


def at_least(setting: str, got: int, minimum: int) -> int:
    """Return a number that is large enough.

    Raises:
        SettingError: If it is not.

    Example:
        >>> at_least("length", 512, 2)
        512
    """
    if got < minimum:
        raise SettingError(setting, got, f"at least {minimum}")
    return got


def limit_of(setting: str, got: int | None) -> int | None:
    """Return a limit; None is no limit.

    Raises:
        SettingError: If it is below 1.
    """
    if got is not None and got < 1:
        raise SettingError(setting, got, "at least 1, or null for all")
    return got


def names_of(setting: str, got: list[str]) -> tuple[str, ...]:
    """Return data sets' names.

    Raises:
        SettingError: If there are none, or one is there twice.
    """
    if not got or len(set(got)) < len(got):
        raise SettingError(setting, got, "one or more data sets, each once")
    return tuple(got)
