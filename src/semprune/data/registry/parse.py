"""Strict reading of YAML into frozen dataclasses: unknown keys, missing keys and wrong types are errors."""

from __future__ import annotations

import dataclasses
import types
from collections.abc import Mapping
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from semprune.errors import DatasetSchemaError
from semprune.errors.base import shortly

Spec = TypeVar("Spec")


def parse(cls: type[Spec], content: object, *, name: str, where: str = "") -> Spec:
    """Build a dataclass from what YAML gave, strictly.

    Args:
        cls: The dataclass.
        content: A mapping, from :func:`semprune.io.yaml_text.read_yaml`.
        name: Data set or calibration set, for messages.
        where: Path of keys so far, for messages.

    Returns:
        The dataclass, nested dataclasses included.

    Raises:
        DatasetSchemaError: If a key is unknown or missing, or a value has the wrong type.

    Example:
        >>> from semprune.data.registry.schema import DocumentRule
        >>> parse(DocumentRule, {"column": "id", "befor": "_"}, name="toy")
        Traceback (most recent call last):
        ...
        semprune.errors.DatasetSchemaError: data set 'toy': unknown key 'befor'. Known keys here: before, column.
    """
    if not isinstance(content, Mapping):
        raise _wrong(name, where, "a mapping", content)
    fields = {field.name: field for field in dataclasses.fields(cls)}  # type: ignore[arg-type]  # Spec is a dataclass
    for key in content:
        if key not in fields:
            raise DatasetSchemaError(
                name, f"unknown key '{_join(where, str(key))}'", f"Known keys here: {', '.join(sorted(fields))}."
            )
    for key, field in fields.items():
        if key not in content and _required(field):
            raise DatasetSchemaError(name, f"key '{_join(where, key)}' is missing", "Add it to the YAML.")
    hints = get_type_hints(cls)
    return cls(**{key: _convert(hints[key], value, name, _join(where, key)) for key, value in content.items()})


def _convert(hint: Any, value: object, name: str, where: str) -> Any:
    """One value as its type hint says."""
    origin, arguments = get_origin(hint), get_args(hint)
    if hint is Any:
        return value
    if dataclasses.is_dataclass(hint):
        return parse(hint, value, name=name, where=where)  # type: ignore[arg-type]  # a class, not an instance
    if origin in (Union, types.UnionType):
        return None if value is None else _convert(arguments[0], value, name, where)
    if origin is tuple:
        if not isinstance(value, list):
            raise _wrong(name, where, "a list", value)
        return tuple(_convert(arguments[0], entry, name, f"{where}[{i}]") for i, entry in enumerate(value))
    if origin is Literal:
        if value not in arguments:
            raise _wrong(name, where, f"one of {', '.join(map(str, arguments))}", value)
        return value
    if origin is not None:
        if not isinstance(value, Mapping):
            raise _wrong(name, where, "a mapping", value)
        return {str(key): _convert(arguments[1], entry, name, f"{where}.{key}") for key, entry in value.items()}
    return _scalar(hint, value, name, where)


def _scalar(hint: type, value: object, name: str, where: str) -> Any:
    """A string, number or truth value; an int is welcome as a float, a bool is no number."""
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, hint) or (hint is int and isinstance(value, bool)):
        raise _wrong(name, where, f"of type {hint.__name__}", value)
    return value


def _required(field: dataclasses.Field[Any]) -> bool:
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING


def _join(where: str, key: str) -> str:
    return f"{where}.{key}" if where else key


def _wrong(name: str, where: str, wanted: str, got: object) -> DatasetSchemaError:
    is_bare = wanted == "of type str" and not isinstance(got, list | Mapping | None)
    remedy = "Write it in quotes, which YAML reads as text." if is_bare else "Correct it in the YAML."
    return DatasetSchemaError(name, f"{where or 'the file'} must be {wanted}, got {shortly(got)}", remedy)
