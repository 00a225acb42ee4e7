"""The headline: which share of the dense model's skill each pruned model keeps, by data set and family."""

from __future__ import annotations

import math
from typing import Any

import pandas as pd

from semprune.analysis import SkillOf
from semprune.artefacts import records
from semprune.report.run.formats import listed, number
from semprune.report.run.labels import family_label, family_rank
from semprune.report.run.load_run import RunArtefacts
from semprune.report.run.metrics import METRICS
from semprune.report.tables.headline import item_labels
from semprune.report.tables.text_table import TextTable
from semprune.statistics.intervals import Bounded

SIGNS = {"worse": "▼", "better": "▲", "unclear": ""}
EXPLAINED = (
    "Skill is the score above guessing: a model that keeps 100 % of it is as good as the dense one, one that keeps 0 % "
    "guesses."
)
WITHOUT = (
    "in points only: this run was made before the share of skill was measured; `semprune study` into its folder adds it"
)


def skill_table(run: RunArtefacts) -> pd.DataFrame | None:
    """Rows of ``retained.parquet``, families in their usual order, each family's own row (no data set) first.

    Returns:
        With ``verdict``: ``worse`` or ``better`` only where the interval lies below or above 1, else ``unclear``; and
        ``counts``, whether a data set counts for its family. None for a run that has no such table.
    """
    if run.retained is None:
        return None
    table = run.retained.copy()
    pairs = zip(table["low"], table["high"], strict=True)
    table["verdict"] = ["worse" if high < 1 else "better" if low > 1 else "unclear" for low, high in pairs]
    left_out = set(zip(*(_left_out(run)[name] for name in ("backbone", "dataset")), strict=True))
    of = table["backbone"] if "backbone" in table else [run.results["backbone"].iloc[0]] * len(table)
    table["counts"] = [pair not in left_out for pair in zip(of, table["dataset"], strict=True)]
    settings = {setting.label: place for place, setting in enumerate(run.settings)}
    datasets = {name: place for place, name in enumerate(["", *dict.fromkeys(run.results["dataset"])])}
    keys = pd.DataFrame(
        {
            "family": [family_rank(family) for family in table["family"]],
            "dataset": [datasets.get(name, len(datasets)) for name in table["dataset"]],
            "prompt": table["prompt"],
            "setting": [settings.get(setting, len(settings)) for setting in table["setting"]],
        },
        index=table.index,
    )
    return table.loc[keys.sort_values(list(keys.columns), kind="stable").index].reset_index(drop=True)


def _left_out(run: RunArtefacts) -> pd.DataFrame:
    """Data sets in their evaluated wording that the dense model was found not to do."""
    if run.screening is None:
        return pd.DataFrame(columns=["backbone", "dataset", "metric", "dense", "guessing"])
    table = run.screening
    return table[table["chosen"] & ~table["admitted"]]


def counted_text(run: RunArtefacts) -> str:
    """Which data sets do not count for their family, and why; or that all count, as nothing was screened."""
    if run.screening is None:
        return "all data sets count for their family: the run screened none"
    each = []
    for row in records(_left_out(run)):
        metric = METRICS[row["metric"]]
        scores = f"{metric.number(row['dense'])}, guessing {metric.number(row['guessing'])}"
        who = f" of {run.model_name(row['backbone'])}" if run.screening["backbone"].nunique() > 1 else ""
        each.append(f"{row['dataset']}{who} ({scores})")
    if not each:
        return "all data sets count for their family: the dense model beats guessing on each"
    return f"left out of their family's figure, as the dense model does not clearly beat guessing: {', '.join(each)}"


def kept(row: dict[str, Any]) -> str:
    r"""Share of skill kept with its interval; the sign of what is not kept is for the caller.

    Example:
        >>> kept({"retained": 0.412, "low": 0.3, "high": 0.521}), kept({"retained": 3.0, "low": math.nan})
        ('41\xa0% [30,\xa052]', 'n/a')
    """
    if math.isnan(row["low"]):  # the dense model has no clear skill, so no share of it is known
        return "n/a"
    return f"{number(100 * row['retained'], 0)}\u00a0% [{number(100 * row['low'], 0)},\u00a0{number(100 * row['high'], 0)}]"  # noqa: E501


def lost(row: dict[str, Any]) -> Bounded:
    """Share of skill lost, with both ends of its interval."""
    return 1 - row["retained"], 1 - row["high"], 1 - row["low"]


def skill_text(table: pd.DataFrame, about: str) -> TextTable:
    """The table for people: families first, then their data sets; scores in points, shares in per cent.

    Args:
        table: What :func:`skill_table` returned.
        about: What :func:`counted_text` says of the run.
    """
    header = [
        "data set",
        "metric",
        "method",
        "n",
        "guessing",
        "dense",
        "pruned",
        "d′ dense",
        "d′ pruned",
        "skill kept, 95 %",
        "",
    ]
    caption = f"Share of the dense model's skill that is kept, its score above guessing; {about}."
    return TextTable(caption, header, [_row(row) for row in records(table.assign(label=item_labels(table)))], names=3)


def _row(row: dict[str, Any]) -> list[str]:
    scores = [number(100 * row[name]) for name in ("guessing", "dense", "pruned")]
    primes = ["" if math.isnan(row[name]) else number(row[name], 2) for name in ("dense_d_prime", "pruned_d_prime")]
    wording = "" if row["counts"] else " (not in the family)"
    name = f"{row['label']}{wording}" if row["dataset"] else f"{family_label(row['family'])}, pooled"
    metric = METRICS[row["metric"]].label if row["metric"] else ""
    return [name, metric, row["setting"], str(row["n"]), *scores, *primes, kept(row), SIGNS[row["verdict"]]]


def skills(table: pd.DataFrame) -> dict[str, SkillOf]:
    """How the skill of each data set that counts is measured.

    Args:
        table: What :func:`skill_table` returned.
    """
    counted = table[(table["dataset"] != "") & table["counts"] & table["dense"].notna()]
    found = {}
    for name, rows in counted.drop_duplicates(["dataset", "prompt"]).groupby("dataset", sort=False):
        guessing = float((rows["guessing"] * rows["n"]).sum() / rows["n"].sum())  # several wordings as one
        found[str(name)] = SkillOf(rows["family"].iloc[0], rows["metric"].iloc[0], guessing)
    return found


def guessed(rows: pd.DataFrame) -> str:
    """Data sets of skill on which a pruned model is not clearly better than guessing, as in a sentence."""
    none = rows[(rows["dataset"] != "") & rows["counts"] & (rows["low"] <= 0) & (rows["high"] < 1)]
    return listed(list(dict.fromkeys(none["dataset"])))
