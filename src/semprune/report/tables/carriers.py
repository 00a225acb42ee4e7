"""What single neurons carry of a task, as a table."""

from __future__ import annotations

import pandas as pd

from semprune.artefacts import records
from semprune.report.run.formats import interval, number
from semprune.report.tables.text_table import TextTable


def carriers_text(table: pd.DataFrame) -> TextTable:
    """A row per neuron, in the order of its ranking.

    Args:
        table: ``carriers.parquet``.
    """
    rows = [
        [
            row["neuron"], _around(row["excited_by"]), row["writes"],
            *(_lost(row, name) for name in ("alone", "with_others")),
        ]
        for row in records(table)
    ]  # fmt: skip
    first = records(table)[0]
    about = (
        f"What the first {len(table)} of {first['k']:,} neurons by {first['ranking']} carry of {first['target']}, on "
        f"{first['n']} items of {first['dataset']}: nats by which the right answer stands out, "
        f"{number(first['dense'], 3)} in the dense model. Alone: lost with this neuron held at its mean. With the "
        f"others: what all {first['k']:,} take more than all but this one. All together take "
        f"{number(first['together'], 3)}, these {len(table)} alone {number(float(table['alone'].sum()), 3)} in sum. "
        "95 % intervals over documents."
    )
    return TextTable(about, ["neuron", "excited by", "writes", "alone", "with the others"], rows, names=3)


AROUND = 18
"""Characters on either side of an exciting token."""


def _around(context: str) -> str:
    """A little of what stands around the token, in one line.

    Example:
        >>> _around("the minister said that it was a‹ dull›  evening for everyone who had come")
        'aid that it was a ‹dull› evening for every'
    """
    before, _, rest = " ".join(context.split()).partition("‹")
    token, _, after = rest.partition("›")
    before = before + " " * token.startswith(" ")
    return f"{before[-AROUND:].lstrip()}‹{token.strip()}›{after[:AROUND].rstrip()}"


def _lost(row: dict[str, float], name: str) -> str:
    return f"{number(row[name], 3)} {interval(row[f'{name}_low'], row[f'{name}_high'], 3)}"
