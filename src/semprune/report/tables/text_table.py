"""A table of texts, and what it is as Markdown and as LaTeX; the page shows the same cells."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import pandas as pd

from semprune.io.safe_text import markdown_cell, printable, spreadsheet
from semprune.io.whole_table import WholeTable

PAGE_ROWS = 40  # a longer LaTeX table has to break over pages
_LATEX = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": "$<$", ">": "$>$", "|": "$|$", "\u00a0": "~",
    "\u202f": r"\,", "\u2212": "$-$", "×": r"$\times$", "∞": r"$\infty$", "▼": r"$\downarrow$", "▲": r"$\uparrow$",
    "·": r"$\cdot$", "²": "$^2$", "ρ": r"$\rho$", "′": "$'$", "\n": " ",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class TextTable:
    """A table as it is shown.

    Attributes:
        caption: What it shows.
        header: Names of its columns.
        rows: Its cells.
        names: How many columns at the left are names; the others are numbers.
    """

    caption: str
    header: list[str]
    rows: list[list[str]]
    names: int

    def without(self, columns: int) -> TextTable:
        """Without some columns at the left, which all rows share."""
        return TextTable(
            self.caption, self.header[columns:], [row[columns:] for row in self.rows], self.names - columns
        )

    def printed(self, keys: int | None = None) -> WholeTable:
        """The table for a terminal, under its caption.

        Args:
            keys: How many first columns name a row, and are repeated where the others do not fit beside each other;
                None for all that are names.
        """
        table = WholeTable(title=self.caption, keys=keys or self.names, box=None, pad_edge=False, padding=(0, 1, 0, 0))
        for place, header in enumerate(self.header):
            named, prose = place < self.names, any(" " in row[place] for row in self.rows)
            table.add_column(header, justify="left" if named else "right", no_wrap=not (named and prose))
        for row in self.rows:
            table.add_row(*row)
        return table

    def markdown(self) -> str:
        """The table in Markdown, without the caption."""
        return markdown(self.header, self.rows)

    def latex(self) -> str:
        r"""The table in LaTeX, in the style of booktabs; a long one as ``longtable``.

        Example:
            >>> print(TextTable("", ["set", "drop"], [["c4_a", "−1 %"]], names=1).latex())
            \begin{tabular}{lr}
            \toprule
            set & drop \\
            \midrule
            c4\_a & $-$1 \% \\
            \bottomrule
            \end{tabular}
        """
        environment = "longtable" if len(self.rows) > PAGE_ROWS else "tabular"
        columns = "l" * self.names + "r" * (len(self.header) - self.names)
        head = [r"\toprule", _latex_row(self.header), r"\midrule"]
        if environment == "longtable":
            head.append(r"\endhead")
        body = [_latex_row(row) for row in self.rows]
        start, end = f"\\begin{{{environment}}}{{{columns}}}", f"\\end{{{environment}}}"
        return "\n".join([start, *head, *body, r"\bottomrule", end])


def _latex_row(cells: Iterable[str]) -> str:
    return " & ".join(latex_text(cell) for cell in cells) + r" \\"


def latex_text(text: str) -> str:
    r"""Text without what LaTeX would take for a command.

    Example:
        >>> print(latex_text("a_b & 50 %"))
        a\_b \& 50 \%
    """
    return "".join(_LATEX.get(character, character) for character in printable(text))


def markdown(header: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    r"""A Markdown table; what would be HTML, a link or a bar in a cell is made harmless.

    Example:
        >>> print(markdown(["a", "b"], [["x|y", "1"]]))
        | a | b |
        | --- | --- |
        | x&#124;y | 1 |
    """
    header = list(header)
    lines = [header, ["---"] * len(header), *map(list, rows)]
    return "\n".join("| " + " | ".join(map(markdown_cell, line)) + " |" for line in lines)


def files_of(name: str, table: pd.DataFrame, text: TextTable) -> dict[str, str]:
    """Name and content of a table's files: stored values as CSV, shown ones as Markdown and LaTeX."""
    return {
        f"{name}.csv": spreadsheet(table).to_csv(index=False),
        f"{name}.md": text.markdown() + "\n",
        f"{name}.tex": text.latex() + "\n",
    }
