"""Pruning methods: one file each, found by being here, and those that other distributions offer.

A file here defines ``METHOD``. A distribution of one's own has an entry point of the group ``semprune.methods`` for
each of its methods, which names such an object (``mypackage.mymethod:METHOD``).
"""

from __future__ import annotations

import functools
import hashlib
import importlib
import importlib.util
import pkgutil
import re
from collections.abc import Iterator
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Final

from semprune.errors import ForeignMethodError, SettingError, UnknownMethodError
from semprune.errors.base import first_line
from semprune.io.yaml_text import read_yaml
from semprune.pruning.method import NEEDS, Method

GROUP: Final = "semprune.methods"
_OPTION = re.compile(r"\w+=[\w.+-]+")


@functools.cache
def methods() -> dict[str, Method]:
    """Return every method by name, in the order of the names.

    Raises:
        ForeignMethodError: An entry point is no method, or has the name or the label of another one.

    Example:
        >>> {"magnitude", "wanda"} <= set(methods())
        True
    """
    found = {method.name: method for method in _shipped()}
    for point in entry_points(group=GROUP):
        method = _foreign(point, found)
        found[method.name] = method
    return dict(sorted(found.items()))


def find_method(name: str) -> Method:
    """Return a method by its name, with the options that stand behind it: ``ria:permutation=assignment:exponent=1``.

    Raises:
        UnknownMethodError: There is none of that name.
        SettingError: An option is not written so, is unknown, or has a value it cannot have.
        ForeignMethodError: As :func:`methods`.

    Example:
        >>> find_method("magnitude").needs_statistics
        False
        >>> find_method("ria:permutation=assignment:exponent=1").options()
        {'exponent': 1, 'group': 'matrix', 'permutation': 'assignment'}
    """
    base, *options = name.split(":")
    if base not in methods():
        raise UnknownMethodError(name, methods())
    if not all(_OPTION.fullmatch(option) for option in options):
        raise SettingError("method", name, f"{base}, and options as in {base}:option=value:option=value")
    pairs = (option.split("=", 1) for option in options)
    return methods()[base].with_options({option: read_yaml(value) for option, value in pairs})


def method_labels() -> dict[str, str]:
    """Return the name for readers of every method, the simplest first: those that read little and have few options.

    Example:
        >>> list(method_labels().items())[:2]
        [('magnitude', 'Magnitude'), ('wanda', 'Wanda')]
    """

    def simplicity(method: Method) -> tuple[int, int, str]:
        return NEEDS.index(method.needs), len(method.options()), method.name

    return {method.name: method.label for method in sorted(methods().values(), key=simplicity)}


@functools.cache
def source_hash(name: str) -> str | None:
    """Return the sha256 of the file that a method of another distribution stands in; None for one of semprune's own.

    Results that are stored carry it: a method that was changed is computed anew. Of semprune's own methods the versions
    of what is stored tell.

    Raises:
        UnknownMethodError, ForeignMethodError: As :func:`find_method`.

    Example:
        >>> source_hash("wanda") is None
        True
    """
    method = find_method(name.split(":")[0])
    for point in entry_points(group=GROUP):
        if point.load() == method:
            spec = importlib.util.find_spec(point.module)
            file = None if spec is None else spec.origin
            return hashlib.sha256(Path(file).read_bytes() if file else point.value.encode()).hexdigest()
    return None


def _shipped() -> Iterator[Method]:
    for module in pkgutil.iter_modules(__path__):
        yield importlib.import_module(f"{__name__}.{module.name}").METHOD


def _foreign(point: EntryPoint, found: dict[str, Method]) -> Method:
    """Load what an entry point names, and see that it can stand beside the methods found before."""
    try:
        method = point.load()
    except Exception as error:  # whatever another distribution's code raises
        raise _refused(point, f"cannot be loaded ({type(error).__name__}: {first_line(error)})") from error
    if not isinstance(method, Method):
        raise _refused(point, f"is no Method but {type(method).__name__}")
    if not method.label.isidentifier():
        raise _refused(point, f"has the label {method.label!r}, which cannot name a class")
    for other in found.values():
        if method.name == other.name or method.label.lower() == other.label.lower():
            raise _refused(point, f"is called {method.name!r} ({method.label}), as another method is")
    return method


def _refused(point: EntryPoint, fault: str) -> ForeignMethodError:
    distribution = "an unknown distribution" if point.dist is None else f"{point.dist.name} {point.dist.version}"
    return ForeignMethodError(point.value, distribution, fault)
