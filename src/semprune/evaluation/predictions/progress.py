"""Progress of scoring with the time left, where someone looks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

Advance = Callable[[int, int, float], None]
"""Takes tokens read since the last call, items complete so far, and tokens computed per second."""


@contextmanager
def scoring_progress(tokens: int, items: int, console: Console | None = None) -> Iterator[Advance]:
    """Show a bar for the block. It advances by tokens, so that the time left holds although long items come first.

    Args:
        tokens: Tokens of all requests.
        items: Number of items.
        console: Where it goes; None takes standard error. It stays silent where that is no terminal.

    Yields:
        The function that advances it.
    """
    console = console or Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(f"0/{items} items scored", total=tokens)

        def advance(tokens: int, items_done: int, tokens_per_second: float) -> None:
            text = f"{items_done}/{items} items scored, {tokens_per_second:,.0f} tokens/s"
            bar.update(task, advance=tokens, description=text)

        yield advance
