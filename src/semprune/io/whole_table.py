"""A table for the terminal that loses nothing: where its columns do not fit side by side, it goes on below."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from rich.console import Console, ConsoleOptions, RenderResult
from rich.measure import Measurement
from rich.segment import Segment
from rich.table import Column, Table

LONGEST = 16
"""Characters of a word that a column of prose keeps in one line; longer ones are folded."""

Ends = tuple[int, int]
"""The fewest and the most characters that a column can use."""

UNBOUNDED = 1_000_000  # characters: wider than any table


class WholeTable(Table):
    """rich's table, whose cells are never cropped.

    rich shortens what does not fit, numbers too: ``1.98e-10`` may read ``1.98e-1…``. Here the columns that do not fit
    stand below the others, with the first ones repeated, which say what a row is. Columns of numbers and of names
    (``no_wrap``) keep their width, prose is wrapped.

    Args:
        headers: As rich takes them.
        keys: How many first columns name a row.
        settings: Of rich's table.

    Example:
        >>> from semprune.io.terminal import Terminal
        >>> table = WholeTable("neuron", "strength", "q", box=None)
        >>> table.add_row("7", "0.25", "1.98e-10")
        >>> Terminal(width=20).print(table)  # doctest: +NORMALIZE_WHITESPACE
         neuron  strength
         7       0.25
        <BLANKLINE>
         neuron  q
         7       1.98e-10
    """

    def __init__(self, *headers: Column | str, keys: int = 1, **settings: Any) -> None:
        """Take rich's settings; a caption stands at the left."""
        super().__init__(*headers, **{"caption_justify": "left", **settings})
        self.keys = keys

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Render the table, or its parts one below the other."""
        wide = options.update(max_width=UNBOUNDED)
        if Measurement.get(console, wide, self).maximum <= options.max_width:
            yield from super().__rich_console__(console, options)
            return
        ends = [_ends(console, wide, column) for column in self.columns]
        for part in self._parts(console, wide, options.max_width, ends):
            if part.title is None and not self.box:
                yield Segment.line()
            yield from Table.__rich_console__(part, console, options)

    def _parts(
        self, console: Console, wide: ConsoleOptions, width: int, ends: list[tuple[int, int]]
    ) -> Iterator[Table]:
        def least(chosen: Sequence[int]) -> int:
            narrow = self._part(chosen, [ends[each][0] for each in chosen])
            return Measurement.get(console, wide, narrow).maximum

        keys = list(range(min(self.keys, len(self.columns) - 1)))
        groups: list[list[int]] = [[]]
        for each in range(len(keys), len(self.columns)):
            if groups[-1] and least([*keys, *groups[-1], each]) > width:
                groups.append([])
            groups[-1].append(each)
        for place, group in enumerate(groups):
            chosen = [*keys, *group]
            widths = _shared_out(width - least(chosen), [ends[each] for each in chosen])
            part = self._part(chosen, widths)
            part.title = self.title if place == 0 else None
            part.caption = self.caption if place == len(groups) - 1 else None
            yield part

    def _part(self, chosen: Sequence[int], widths: Sequence[int | None]) -> Table:
        """Some of the columns, as wide as is said."""
        part = copy.copy(self)
        part.columns = [
            replace(self.columns[each], _index=place, width=width, min_width=None, no_wrap=False, overflow="fold")
            for place, (each, width) in enumerate(zip(chosen, widths, strict=True))
        ]
        return part


def _ends(console: Console, wide: ConsoleOptions, column: Column) -> Ends:
    """Characters of a column: the fewest that keep its words, or its lines, in one piece, and the most it can fill."""
    shown = [Measurement.get(console, wide, each) for each in (column.header, *column.cells, column.footer)]
    most = max(each.maximum for each in shown)
    if column.no_wrap:
        return most, most
    longest = max(each.minimum for each in shown)
    return max(longest if column.justify == "right" else min(longest, LONGEST), column.min_width or 1), most


def _shared_out(spare: int, ends: Sequence[Ends]) -> list[int | None]:
    """Widths of columns: the least of each, and what is spare for those that can use it; none where it is short."""
    if spare < 0:
        return [None] * len(ends)
    widths = [least for least, _ in ends]
    open_ = sorted((each for each, (least, most) in enumerate(ends) if most > least), key=lambda each: ends[each][1])
    for left, each in zip(range(len(open_), 0, -1), open_, strict=True):
        more = min(spare // left, ends[each][1] - widths[each])
        widths[each] += more
        spare -= more
    return list(widths)
