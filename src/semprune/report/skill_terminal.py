"""The headline in the terminal: dense and pruned score and the share of skill kept; families pooled."""

from __future__ import annotations

from typing import Any

import pandas as pd
from rich.text import Text

from semprune.artefacts import records
from semprune.io.whole_table import WholeTable
from semprune.report.run.formats import TIMES, number
from semprune.report.run.labels import Setting
from semprune.report.run.load_run import RunArtefacts
from semprune.report.run.metrics import METRICS
from semprune.report.tables.headline import headline_table, item_labels
from semprune.report.tables.skill import SIGNS, counted_text, kept

STYLES = {"worse": "bold red", "better": "bold green", "unclear": "dim"}
CAPTION = (
    "pruned score, then the share of the dense model's skill (score above guessing) that is kept, with its 95 % "
    "interval; ▼ clearly lost, ▲ clearly gained; n/a: the dense model does not clearly beat guessing"
)


def skill_by_dataset(run: RunArtefacts, skill: pd.DataFrame) -> WholeTable:
    """Data sets grouped by family × (dense, each pruned setting), each family's own share in bold.

    Args:
        run: The run's artefacts.
        skill: What :func:`semprune.report.tables.skill.skill_table` returned.

    Returns:
        A table for ``rich.console.Console.print``.
    """
    labels = [setting.label for setting in run.settings]
    table = _table("What pruning left of the model's skill", f"{CAPTION}; {counted_text(run)}", keys=2)
    for name, side in (("data set", "left"), ("dense", "right"), *((label, "left") for label in labels)):
        table.add_column(name, justify="right" if side == "right" else "left", no_wrap=True)
    skill = skill.assign(label=item_labels(skill))
    for family, rows in skill.groupby("family", sort=False):
        table.add_section()
        means = {row["setting"]: row for row in records(rows[rows["dataset"] == ""])}
        shares = [_kept(means[label], "kept  ") if label in means else Text("kept  n/a", "dim") for label in labels]
        table.add_row(Text(str(family).capitalize(), "bold"), "", *shares)
        for _, items in rows[rows["dataset"] != ""].groupby(["label", "dense"], sort=False):
            own, first = {row["setting"]: row for row in records(items)}, records(items)[0]
            scores = [_score(own[label]) if label in own else Text("") for label in labels]
            metric = METRICS[first["metric"]]
            table.add_row(f"  {first['label']}, {metric.short}", metric.number(first["dense"]), *scores)
    _add_perplexity(table, run, labels)
    return table


def skill_by_setting(run: RunArtefacts, skill: pd.DataFrame, settings: tuple[Setting, ...], note: str) -> WholeTable:
    """Pruned models × families: the share of skill kept, and how much the perplexity grows.

    Args:
        run: The run's artefacts, or their means.
        skill: What :func:`semprune.report.tables.skill.skill_table` returned.
        settings: The rows.
        note: What else the caption says.
    """
    pooled = skill[skill["dataset"] == ""]
    families = list(dict.fromkeys(pooled["family"]))
    about = CAPTION.removeprefix("pruned score, then the ")
    table = _table("What pruning left of the model's skill", "; ".join(filter(None, [about, note, counted_text(run)])))
    for name in ("pruned", *(f"{family.capitalize()}\nskill kept" for family in families)):
        table.add_column(name, no_wrap=True)
    table.add_column("Perpl.", justify="right", no_wrap=True)
    texts = headline_table(run, "perplexity")
    for setting in settings:
        own = {row["family"]: row for row in records(pooled[pooled["setting"] == setting.label])}
        shares = [_kept(own[name], "") if name in own else Text("") for name in families]
        grown = records(texts[texts["setting"] == setting.label].head(1))
        table.add_row(
            setting.label, *shares, f"{TIMES}{number(grown[0]['value'] / grown[0]['dense'])}" if grown else ""
        )
    return table


def _table(title: str, caption: str, keys: int = 1) -> WholeTable:
    return WholeTable(title=title, caption=caption, box=None, pad_edge=False, padding=(0, 2, 0, 0), keys=keys)


def _kept(row: dict[str, Any], before: str) -> Text:
    return Text.assemble((before, "dim"), Text(f"{kept(row)} {SIGNS[row['verdict']]}".rstrip(), STYLES[row["verdict"]]))


def _score(row: dict[str, Any]) -> Text:
    share = _kept(row, "") if row["counts"] else Text("not counted", "dim")
    return Text.assemble(f"{METRICS[row['metric']].number(row['pruned']):<6}", share)


def _growth(row: dict[str, Any]) -> str:
    return f"{TIMES}{number(row['value'] / row['dense'])}"


def _add_perplexity(table: WholeTable, run: RunArtefacts, labels: list[str]) -> None:
    texts, metric = headline_table(run, "perplexity"), METRICS["perplexity"]
    if texts.empty:
        return
    table.add_section()
    table.add_row(Text(metric.label, "bold"), "", *([""] * len(labels)))
    for name, rows in texts.groupby("dataset", sort=False):
        own = {row["setting"]: row for row in records(rows)}
        values = [
            f"{metric.number(own[label]['value']):<6}{_growth(own[label])}" if label in own else "" for label in labels
        ]
        table.add_row(f"  {name}", metric.number(rows["dense"].iloc[0]), *values)
