"""The terminal: everything that is printed goes through here, and nothing that others wrote is obeyed.

Brackets in paths and names are no markup (``[/b]``), ``:x:`` is no emoji, escape sequences are written out.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.text import Text

from semprune.io.safe_text import printable


class Terminal(Console):
    r"""rich's console, where text is text.

    Styles are set by ``Text`` and columns, never by markup.

    Example:
        >>> import io
        >>> shown = io.StringIO()
        >>> Terminal(file=shown, width=80).print("runs/a[/b]c\x1b[31m")
        >>> print(shown.getvalue(), end="")
        runs/a[/b]c\x1b[31m
    """

    def __init__(self, **settings: Any) -> None:
        """Take rich's settings."""
        super().__init__(markup=False, emoji=False, **settings)

    def render_str(self, text: str, **settings: Any) -> Text:
        """Make a text of a string, without markup and control characters."""
        return super().render_str(printable(text), **{**settings, "markup": False, "emoji": False})

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """Render anything; what stands in texts that were made elsewhere is made harmless last."""
        for text, style, control in super().render(renderable, options):
            yield Segment(text if control else printable(text), style, control)


def tolerate_any_text() -> None:
    """Let the standard streams write what their encoding lacks as escapes: a path may be no Unicode at all."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # not where it was replaced
            stream.reconfigure(errors="backslashreplace")
