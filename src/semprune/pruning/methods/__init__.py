"""Pruning methods: one file each, found by being here; a file defines ``METHOD``."""

from __future__ import annotations

import functools
import importlib
import pkgutil

from semprune.errors import UnknownMethodError
from semprune.pruning.method import Method


@functools.cache
def methods() -> dict[str, Method]:
    """Return every method in this folder by name, in the order of the names.

    Example:
        >>> {"magnitude", "wanda"} <= set(methods())
        True
    """
    names = sorted(module.name for module in pkgutil.iter_modules(__path__))
    found: list[Method] = [importlib.import_module(f"{__name__}.{name}").METHOD for name in names]
    return {method.name: method for method in found}


def find_method(name: str) -> Method:
    """Return a method by its name.

    Raises:
        UnknownMethodError: No file defines it.

    Example:
        >>> find_method("magnitude").needs_statistics
        False
    """
    if name not in methods():
        raise UnknownMethodError(name, methods())
    return methods()[name]
