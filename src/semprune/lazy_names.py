"""Public names of a package that are loaded when they are first used (PEP 562)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any


def lazy_names(package: str, homes: Mapping[str, str]) -> Callable[[str], Any]:
    """Return a package's ``__getattr__``, by which importing one of its files does not load all the others.

    Args:
        package: Its name.
        homes: Module that defines each public name.

    Example:
        >>> lazy_names("numbers_of_mine", {"sqrt": "math"})("sqrt")(9.0)
        3.0
    """

    def load(name: str) -> Any:
        if name not in homes:
            raise AttributeError(f"module '{package}' has no attribute {name!r}; it has {', '.join(homes)}")
        return getattr(import_module(homes[name]), name)

    return load
