"""Values are checked against the ranges in their types, before any work starts.

:func:`check_ranges` is for configurations, :func:`checked` for functions that users call; both read the annotated types
of :mod:`semprune.types`, so that a range is written once.
"""

from __future__ import annotations

import dataclasses
import functools
import inspect
import numbers
import types
from collections.abc import Callable, Iterable, Mapping
from typing import Annotated, Any, Literal, ParamSpec, TypeVar, Union, get_args, get_origin, get_type_hints

from semprune.errors import SettingError, SparsityRangeError
from semprune.types import MOST, Filled, Range, SparsityRange

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")


def check_value(setting: str, value: Any, hint: Any) -> None:
    """Refuse a value that does not lie in the range of its type; other parts of the type are left to type checkers.

    Args:
        setting: Its name, for the message.
        value: The value.
        hint: Its type; ranges may stand inside of lists and unions.

    Raises:
        SettingError: It does not lie there, or is no number.
        SparsityRangeError: It is no sparsity.

    Example:
        >>> from semprune.types import Limit
        >>> check_value("limit", None, Limit)
        >>> check_value("limit", -5, Limit)
        Traceback (most recent call last):
        ...
        semprune.errors.SettingError: limit must be at least 1, or null for all, got -5.
    """
    _check(setting, value, hint, ())


def check_ranges(config: Any, where: str = "") -> None:
    """Refuse a configuration with a value outside of its range, those inside of it too.

    Args:
        config: A dataclass.
        where: What stands before its fields' names in messages, as in ``fit.``.

    Raises:
        SettingError: A value lies outside the range of its type.
        SparsityRangeError: It is no sparsity.
    """
    for name, hint in _field_hints(type(config)).items():
        value = getattr(config, name)
        if dataclasses.is_dataclass(value):
            check_ranges(value, f"{where}{name}.")
        else:
            check_value(f"{where}{name}", value, hint)


def checked(function: Callable[Parameters, Result]) -> Callable[Parameters, Result]:
    """Wrap a function so that every argument is checked against the range in its type.

    Example:
        >>> from semprune.types import Count
        >>> @checked
        ... def doubled(draws: Count) -> int:
        ...     return 2 * draws
        >>> doubled(4)
        8
        >>> doubled(0)
        Traceback (most recent call last):
        ...
        semprune.errors.SettingError: draws must be at least 1, got 0.
    """
    signature = inspect.signature(function)

    @functools.wraps(function)
    def careful(*given: Parameters.args, **named: Parameters.kwargs) -> Result:
        hints = _argument_hints(function)
        with_names = signature.bind(*given, **named).arguments
        for name in with_names.keys() & hints.keys():
            check_value(name, with_names[name], hints[name])
        return function(*given, **named)

    return careful


def _field_hints(kind: type) -> dict[str, Any]:
    hints = get_type_hints(kind, include_extras=True)
    return {field.name: hints[field.name] for field in dataclasses.fields(kind)}


@functools.cache
def _argument_hints(function: Callable[..., Any]) -> dict[str, Any]:
    """Types of those arguments that have a range in them."""
    found = {}
    names: dict[str, Any] = getattr(inspect.unwrap(function), "__globals__", {})
    for name, hint in inspect.get_annotations(function).items():
        try:
            resolved = eval(hint, names) if isinstance(hint, str) else hint
        except NameError:  # a name that is imported for type checkers only is no range
            continue
        if name != "return" and ranges_of(resolved):
            found[name] = resolved
    return found


def ranges_of(hint: Any) -> list[Range | Filled]:
    """Every range inside of a type.

    Example:
        >>> from semprune.types import Seed
        >>> [str(each) for each in ranges_of(list[Seed])]
        ['at least 0']
    """
    own = [mark for mark in getattr(hint, "__metadata__", ()) if isinstance(mark, Range | Filled)]
    return own + [mark for part in get_args(hint) for mark in ranges_of(part)]


def _check(setting: str, value: Any, hint: Any, otherwise: tuple[str, ...]) -> None:
    origin, parts = get_origin(hint), get_args(hint)
    if origin is Annotated:
        for mark in hint.__metadata__:
            if isinstance(mark, Range):
                _check_number(setting, value, parts[0], mark, otherwise)
            elif isinstance(mark, Filled) and (isinstance(value, str) or not value):
                raise SettingError(setting, value, mark.allowed)
        _check(setting, value, parts[0], ())
    elif origin in (Union, types.UnionType):
        _check_union(setting, value, parts)
    elif isinstance(origin, type) and issubclass(origin, Mapping):
        for key, each in value.items():
            _check(f"{setting}.{key}", each, parts[1], ())
    elif ranges_of(hint) and _is_list(hint):
        if isinstance(value, str | Mapping) or not isinstance(value, Iterable):
            raise SettingError(setting, value, "a list")
        for each in value:
            _check(setting, each, parts[0], ())


def _check_union(setting: str, value: Any, parts: tuple[Any, ...]) -> None:
    words = tuple(word for part in parts if get_origin(part) is Literal for word in get_args(part))
    if (value is None and type(None) in parts) or (isinstance(value, str) and value in words):
        return
    several = isinstance(value, Iterable) and not isinstance(value, str)
    null = ("null",) if type(None) in parts else ()
    with_range = [part for part in parts if ranges_of(part)]
    alike = [part for part in with_range if several == _is_list(part)]
    for part in alike or with_range:
        _check(setting, value, part, words + null)


def _is_list(hint: Any) -> bool:
    origin = get_origin(hint)
    return isinstance(origin, type) and issubclass(origin, Iterable)


def _check_number(setting: str, value: Any, kind: Any, mark: Range, otherwise: tuple[str, ...]) -> None:
    real = _is(numbers.Real, value)
    fits = _is(numbers.Integral, value) if kind is int else real
    if fits and value in mark:
        return
    if real and isinstance(mark, SparsityRange):
        raise SparsityRangeError(float(value))
    allowed = str(mark)
    if not fits and not mark.words:
        allowed = f"{'a whole number' if kind is int else 'a number'}, {allowed}"
    elif real and value > MOST:
        allowed += f" and at most {MOST}"
    said = [f"{word} {mark.null}".rstrip() if word == "null" else word for word in otherwise]
    raise SettingError(setting, value, ", or ".join([allowed, *said]))


def _is(kind: type, value: Any) -> bool:
    """Whether a value is a number of a kind; true and false are none."""
    return isinstance(value, kind) and not isinstance(value, bool)
