"""The tables of docs/results.md about 24 data sets, from published runs: what a model can do, and what pruning leaves.

python -m benchmarks.datasets_page docs/studies/datasets/smollm2-135m
"""

from __future__ import annotations

from typing import Any

import pandas as pd
from benchmarks.tables import markdown, print_pages

from semprune.artefacts import records
from semprune.report import load_run
from semprune.report.run.formats import interval, number
from semprune.report.run.labels import family_label, family_rank
from semprune.report.run.load_run import RunArtefacts
from semprune.report.run.metrics import METRICS
from semprune.report.tables.contrasts import contrast_table
from semprune.report.tables.fidelity import OF_ITEMS, OF_TEXT, fidelity_table
from semprune.report.tables.skill import SIGNS, kept, skill_table
from semprune.statistics.intervals import mean_with_interval


def page(run: RunArtefacts) -> dict[str, str]:
    """Each table as Markdown: ``able``, ``kept``, ``contrasts`` and ``fidelity``."""
    return {"able": able(run), "kept": shares(run), "contrasts": contrasts(run), "fidelity": fidelity(run)}


def able(run: RunArtefacts) -> str:
    """What counts, with the dense model's score and what guessing scores; and what was left out."""
    assert run.screening is not None
    table = skill_table(run)
    assert table is not None
    own = table[table["dataset"] != ""].drop_duplicates("dataset").set_index("dataset")
    screened = run.screening[run.screening["chosen"]]
    rows = []
    for family in sorted(screened["family"].unique(), key=family_rank):
        chosen = screened[screened["family"] == family]
        count = [_score(name, own.loc[name]) for name in chosen[chosen["admitted"]]["dataset"]]
        rest = [_score(row["dataset"], row) for row in records(chosen[~chosen["admitted"]])]
        rows.append([family_label(family), ", ".join(count), ", ".join(rest)])
    return markdown(["family", "counts: dense score (guessing)", "left out, on screening items"], rows)


def _score(name: str, row: Any) -> str:
    return f"{name} {METRICS[row['metric']].number(row['dense'])} ({number(100 * row['guessing'], 0)})"


def shares(run: RunArtefacts) -> str:
    """Share of skill that is kept, by family and method."""
    table = skill_table(run)
    assert table is not None
    pooled = table[table["dataset"] == ""]
    settings = [setting.label for setting in run.settings]
    rows = []
    for family, own in pooled.groupby("family", sort=False):
        cells = {row["setting"]: f"{kept(row)} {SIGNS[row['verdict']]}".strip() for row in records(own)}
        rows.append([family_label(family), *(cells[setting] for setting in settings)])
    return markdown(["family", *settings], rows)


def contrasts(run: RunArtefacts) -> str:
    """Share of skill that a family loses, less that of the mean of the others."""
    table = contrast_table(run)
    table = table[table["metric"] == "retained"]
    settings = [setting.label for setting in run.settings]
    rows = []
    for family, own in table.groupby("family", sort=False):
        cells = {row["setting"]: _difference(row) for row in records(own)}
        rows.append([family_label(family), *(cells.get(setting, "") for setting in settings)])
    return markdown(["family, less the others", *settings], rows)


def _difference(row: dict[str, Any]) -> str:
    ends = interval(100 * row["difference_low"], 100 * row["difference_high"], 0)
    said = "" if row["verdict"] == "unclear" else f" {row['verdict']}"
    return f"{number(100 * row['difference'], 0)} {ends}{said}"


def fidelity(run: RunArtefacts) -> str:
    """Distance from the dense model without any label: of text, and changed answers of each family's data sets."""
    text, items = fidelity_table(run, OF_TEXT), fidelity_table(run, OF_ITEMS)
    assert text is not None
    assert items is not None
    settings = [setting.label for setting in run.settings]
    rows = []
    for measure, label, scale in (("kl", "KL per token, nats", 1), ("same_top", "same likeliest token, %", 100)):
        rows.append([label, *(_mean(_of(text, measure, setting), scale) for setting in settings)])
    for family in sorted(items["family"].unique(), key=family_rank):
        own = items[items["family"] == family]
        cells = [_mean(_of(own, "flips", setting), 100) for setting in settings]
        rows.append([f"changed answers, %: {family_label(family).lower()}", *cells])
    return markdown(["", *settings], rows)


def _of(table: pd.DataFrame, measure: str, setting: str) -> pd.DataFrame:
    return table[(table["measure"] == measure) & (table["setting"] == setting)]


def _mean(table: pd.DataFrame, scale: int) -> str:
    value, low, high = mean_with_interval(table["value"].tolist(), table["low"].tolist(), table["high"].tolist())
    digits = 2 if scale == 1 else 0
    return f"{number(scale * value, digits)} {interval(scale * low, scale * high, digits)}"


if __name__ == "__main__":
    print_pages(__doc__, lambda folder: page(load_run(folder)))
