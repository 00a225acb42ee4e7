"""Docstrings for the site: `Example` as a section, roles of reStructuredText as code, formulas fenced."""

from __future__ import annotations

import re
from typing import Any

import griffe

_EXAMPLE = re.compile(r"^([ ]*)Example:$", re.MULTILINE)
_ROLE = re.compile(r":\w+:`~?([^`]+)`")
_FORMULA = re.compile(r"^([ ]*)\.\. math::[ ]*\n((?:[ ]*\n)*(?:\1[ ]+\S.*\n?)+)", re.MULTILINE)


def for_readers(text: str) -> str:
    """Return a docstring as Google's sections and Markdown.

    Example:
        >>> for_readers("See :func:`~semprune.evaluate`.")
        'See `semprune.evaluate`.'
    """
    text = _FORMULA.sub(lambda found: f"{found[1]}```text\n{found[2].rstrip()}\n{found[1]}```\n", text)
    return _EXAMPLE.sub(r"\1Examples:", _ROLE.sub(r"`\1`", text))


class Docstrings(griffe.Extension):
    """Rewrites every docstring when it has been read."""

    def on_object(self, *, obj: griffe.Object, **settings: Any) -> None:
        """Rewrite one."""
        if obj.docstring is not None:
            obj.docstring.value = for_readers(obj.docstring.value)
