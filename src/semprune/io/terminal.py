"""What is printed: text as it is, since paths and names may hold what rich takes for markup."""

from __future__ import annotations

import sys

from rich.console import Console


def plain_console(*, stderr: bool = False) -> Console:
    """Return a console that interprets nothing in strings, in those of tables neither; styles are set by objects.

    Example:
        >>> plain_console().print("runs/a[/b]c:smile:")
        runs/a[/b]c:smile:
    """
    return Console(stderr=stderr, markup=False, emoji=False)


def tolerate_any_text() -> None:
    """Let the standard streams write what their encoding lacks as escapes: a path may be no Unicode at all."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # not where it was replaced
            stream.reconfigure(errors="backslashreplace")
