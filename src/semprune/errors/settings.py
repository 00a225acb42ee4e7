"""Settings and configurations that cannot be run."""

from __future__ import annotations

from semprune.errors.base import SempruneError


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
        super().__init__(f"{setting} must be {allowed}, got {got!r}.")


class ConfigurationError(SempruneError):
    """A configuration that cannot be run as it stands."""
