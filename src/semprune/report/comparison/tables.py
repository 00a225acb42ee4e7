"""The comparison as tables of texts and as sentences; the terminal and the page show the same cells."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from rich.text import Text

from semprune.io.whole_table import WholeTable
from semprune.report.comparison.figures import Row
from semprune.report.run.formats import listed, number
from semprune.report.run.labels import family_label
from semprune.report.skill_terminal import STYLES
from semprune.report.tables.skill import EXPLAINED, SIGNS
from semprune.report.tables.text_table import TextTable
from semprune.statistics.intervals import Bounded

KINDS = {"skill": "Share of skill kept, %", "points": "Score", "fidelity": "Distance from the dense model"}
ABOUT = {
    "skill": EXPLAINED,
    "points": "Scores on the items that both were asked; of each one's own items where they share none.",
    "fidelity": "How far each is from its own dense model, on text and in its answers, right or wrong.",
}
CAPTION = (
    "B − A with its 95 % interval, paired by the items that both models were asked and the sequences that both read; "
    "▲ B is clearly better, ▼ clearly worse; n/a: a dense model does not clearly beat guessing"
)
MOST_PAIRS = 4
"""With more pairs of models the terminal shows the families' skill alone, or scores; the page has everything."""


def kind_table(rows: Sequence[Row], kind: str) -> TextTable:
    """One kind of figures of one pair of models.

    Args:
        rows: Of the pair.
        kind: Of :data:`KINDS`.
    """
    shown = [[*_cells(row), SIGNS[row.verdict]] for row in rows if row.kind == kind]
    return TextTable(ABOUT[kind], [KINDS[kind], "A", "B", "B − A, 95 %", "n", ""], shown, names=1)


def comparison_table(pairs: Mapping[str, Sequence[Row]]) -> WholeTable:
    """All of it for the terminal.

    Args:
        pairs: Figures by the label of the models.
    """
    about = CAPTION + ("; * unpaired" if any(not row.n for rows in pairs.values() for row in rows) else "")
    table = WholeTable(title="B against A", caption=about, box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("", no_wrap=True)
    for name in ("A", "B", "B − A"):
        table.add_column(name, justify="right", no_wrap=True)
    brief = len(pairs) > MOST_PAIRS
    for label, rows in pairs.items():
        table.add_section()
        table.add_row(Text(label, "bold"))
        for kind, title in KINDS.items():
            own = [row for row in rows if row.kind == kind]
            if brief:
                own = [row for row in family_skill(rows) or own if kind == row.kind != "fidelity"]
            if own:
                table.add_row(Text(f"  {title}", "italic"))
            for row in own:
                name, first, second, difference, _ = _cells(row)
                mark = f"{SIGNS[row.verdict] or ' '}{' ' if row.n else '*'}"
                table.add_row(f"    {name}", first, second, Text(f"{difference} {mark}", STYLES[row.verdict]))
    return table


def _cells(row: Row) -> list[str]:
    return [
        _name(row),
        _value(row, row.first),
        _value(row, row.second),
        _difference(row),
        f"{row.n:,}" if row.n else "unpaired",
    ]


def _name(row: Row) -> str:
    if not row.dataset:
        return f"{family_label(row.family)}, pooled"
    return row.dataset if row.kind == "skill" else f"{row.dataset}, {row.metric.short}"


def _value(row: Row, figure: Bounded) -> str:
    if row.kind == "skill" and math.isnan(figure[1]):
        return "n/a"
    return row.metric.number(figure[0])


def _difference(row: Row) -> str:
    value, low, high = row.difference
    if math.isnan(value) or math.isnan(low):
        return "n/a"
    return f"{row.metric.number(value)} {row.metric.interval(low, high)}"


def family_skill(rows: Sequence[Row]) -> list[Row]:
    """The skill of each family: pooled, or that of its one data set."""
    skill = [row for row in rows if row.kind == "skill"]
    pooled = {row.family for row in skill if not row.dataset}
    return [row for row in skill if not row.dataset or row.family not in pooled]


def sentences(pairs: Mapping[str, Sequence[Row]]) -> list[str]:
    """What the families' skill says, one sentence per pair of models.

    Args:
        pairs: Figures by the label of the models.
    """
    return [text for label, rows in pairs.items() if (text := _sentence(label, rows))]


def _sentence(label: str, rows: Sequence[Row]) -> str:
    skill = [row for row in family_skill(rows) if not math.isnan(row.difference[1])]
    clear = [row for row in skill if row.verdict != "unclear"]
    if not skill:
        return ""
    parts = [f"{_more(row)} in {family_label(row.family).lower()}" for row in clear]
    rest = list(dict.fromkeys(family_label(row.family).lower() for row in skill if row.verdict == "unclear"))
    said = f"{label}: B keeps {listed(parts)}" if parts else f"{label}: A and B"
    if not parts:
        return f"{said} cannot be told apart in the skill that they keep in {listed(rest)}."
    return f"{said}{f'; in {listed(rest)} the two cannot be told apart' if rest else ''}."


def _more(row: Row) -> str:
    value, low, high = (100 * each for each in row.difference)
    if value < 0:
        value, low, high = -value, -high, -low
    ends = f"[{number(low, 0)},\u00a0{number(high, 0)}]"
    return (
        f"{number(value, 0)}\u00a0% {ends} {'more' if row.verdict == 'better' else 'less'} of the dense model's skill"
    )


def settings_table(differing: Sequence[tuple[str, str, str]]) -> TextTable:
    """What the runs were told differently, for the page."""
    return TextTable(
        "Settings, model, data and versions that are not the same; paths are left out.",
        ["setting", "A", "B"],
        [list(row) for row in differing],
        names=3,
    )
