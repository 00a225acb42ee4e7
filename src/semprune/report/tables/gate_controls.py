"""Controls of causal gates as tables and as sentences: what gates take when there is nothing to learn."""

from __future__ import annotations

import pandas as pd

from semprune.artefacts import records
from semprune.report.run.formats import interval, number, percent
from semprune.report.tables.text_table import TextTable

CONTROLS = {
    "learned": "its gates",
    "permuted_labels": "permuted labels",
    "wrong_concept": "another concept",
    "random_weights": "random weights",
    "random_neurons": "random neurons",
}
ANSWERS = {"fitted": "as fitted", "other": "others"}


def gate_controls_text(table: pd.DataFrame) -> TextTable:
    """What each set takes: a row per set, data set and kind of answer.

    Args:
        table: ``gate_controls.parquet``.
    """
    rows = [
        [
            CONTROLS[row["control"]], row["dataset"], ANSWERS[row["answers"]], str(row["n"]),
            number(100 * row["dense"]),
            f"{number(100 * row['lost'])} {interval(100 * row['lost_low'], 100 * row['lost_high'])}",
            number(row["kl"], 3), percent(row["refused"]) if row["control"] != "random_neurons" else "",
        ]
        for row in records(table)
    ]  # fmt: skip
    first = records(table)[0]
    about = (
        f"{first['concept']}: AUROC in points that held-out items lose when {first['k']:,} neurons are held at their "
        f"means, mean of {first['seeds']} seeds with 95 % intervals over documents and seeds. Other answers: words "
        "that no gate was fitted on. KL: nats per token of other text. Refused: share of seeds for which a fit would "
        "have refused, because the model does not know the labels."
    )
    header = ["learned on", "data set", "answers", "items", "dense", "lost", "KL", "refused"]
    return TextTable(about, header, rows, names=3)


def gate_overlap_text(table: pd.DataFrame) -> TextTable:
    """Whether seeds agree: a row per pair.

    Args:
        table: ``gate_overlap.parquet``.
    """
    rows = [
        [
            f"{row['first']} and {row['second']}", percent(row["shared"]), percent(row["chance"], 1),
            number(100 * row["lost_first"]), number(100 * row["lost_second"]),
            f"{number(100 * row['more'])} {interval(100 * row['more_low'], 100 * row['more_high'])}",
        ]
        for row in records(table)
    ]  # fmt: skip
    header = ["seeds", "shared", "by chance", "first takes", "second takes", "difference"]
    return TextTable(redundancy(table), header, rows, names=1)


SAME = 0.8
"""Share of neurons in common from which two sets are called the same (ours)."""
TOLD = 0.5
"""Share of what sets take, below which all differences have to lie for them to be called equally good (ours)."""


def redundancy(table: pd.DataFrame) -> str:
    """Whether seeds find the same neurons and, if not, whether different ones do as well, in words."""
    shared = table["shared"]
    span = percent(shared.min()) if len(table) == 1 else f"{percent(shared.min())} to {percent(shared.max())}"
    said = f"Two seeds' gates share {span} of their neurons ({percent(table['chance'].iloc[0], 1)} by chance)."
    if shared.min() >= SAME:
        return f"{said} They are the same neurons: which seed is taken matters little."
    differ = (table["more_low"] > 0) | (table["more_high"] < 0)
    if differ.any():
        return f"{said} They do not take the same of the task either: which set is found hangs on the seed."
    most = 100 * float(table[["more_low", "more_high"]].abs().to_numpy().max())
    taken = 100 * float(table[["lost_first", "lost_second"]].to_numpy().mean())
    if not most < TOLD * taken:
        return (
            f"{said} Whether different sets do as well as each other cannot be told from these items: they take "
            f"{number(taken)} points on average, and differences of {number(most)} are not ruled out."
        )
    return (
        f"{said} Different sets do as well as each other, as far as these items can tell (differences beyond "
        f"{number(most)} points are ruled out): the concept is carried redundantly, and no set is the only one."
    )
