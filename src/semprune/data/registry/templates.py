"""What a template of a data set's YAML may hold: columns, with keys in brackets, and nothing that computes.

``str.format`` can more: a width makes a text of gigabytes (``{text:999999999}``), an attribute reaches into Python
(``{text.__class__}``). No wording of a prompt needs either.
"""

from __future__ import annotations

import re
import string
from collections.abc import Iterator
from typing import Final

_FIELD: Final = re.compile(r"\w+(\[\w+\])*")
_REMEDY: Final = "Write {column}, {column[key]} or {column[0]}; braces of the text itself are doubled, {{ and }}."


def template_columns(template: str) -> set[str]:
    """Columns that a template reads.

    Example:
        >>> sorted(template_columns("{question} {choices[text][0]}"))
        ['choices', 'question']
    """
    return {root(name) for _, name, _, _ in string.Formatter().parse(template) if name is not None}


def root(field: str) -> str:
    """Column at the start of a field path.

    Example:
        >>> root("choices[text]")
        'choices'
    """
    return re.split(r"[.\[]", field, maxsplit=1)[0]


def template_rules(key: str, template: str) -> Iterator[tuple[str, str]]:
    """Details and remedies of what is wrong with a template.

    Example:
        >>> next(template_rules("context", "{text:999999999}"))[0]
        "context: '{text:999999999}' has a format, after : or !"
    """
    try:
        fields = list(string.Formatter().parse(template))
    except ValueError as error:
        yield f"{key}: '{template[:80]}' is no template ({error})", _REMEDY
        return
    for _, name, width, conversion in fields:
        if name is None:
            continue
        if width or conversion:
            sign = f"!{conversion}" if conversion else f":{width}"
            yield f"{key}: '{{{name[:40]}{sign[:40]}}}' has a format, after : or !", _REMEDY
        yield from field_rules(key, name)


def field_rules(key: str, field: str) -> Iterator[tuple[str, str]]:
    """Details and remedies of what is wrong with the path of a field.

    Example:
        >>> list(field_rules("choices_from", "choices[text]"))
        []
        >>> next(field_rules("choices_from", "choices.__class__"))[0]
        "choices_from: 'choices.__class__' is no column, and no key of one"
    """
    if not _FIELD.fullmatch(field):
        yield f"{key}: '{field[:80]}' is no column, and no key of one", _REMEDY
