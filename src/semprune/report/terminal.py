"""The headline table for the terminal: what a study prints when it is done."""

from __future__ import annotations

from typing import Any

import pandas as pd
from rich.text import Text

from semprune.artefacts import is_guided, records
from semprune.io.whole_table import WholeTable
from semprune.report.run.formats import TIMES, number
from semprune.report.run.load_run import RunArtefacts, is_crowded, pooled
from semprune.report.run.metrics import METRICS, Metric
from semprune.report.skill_terminal import STYLES, skill_by_dataset, skill_by_setting
from semprune.report.tables.headline import VERDICTS, family_table, headline_table, item_labels, left_out_text
from semprune.report.tables.semantic_loss import guessing
from semprune.report.tables.skill import skill_table


def settings_table(run: RunArtefacts) -> WholeTable:
    """Pruned models × families: mean drop in points with its interval, and how much the perplexity grows.

    Args:
        run: The run's artefacts; with very many models their means per method and amount are shown.

    Returns:
        A table for ``rich.console.Console.print``.
    """
    shown = pooled(run) if is_crowded(run) else run
    headline = headline_table(shown)
    families = family_table(headline)
    names = list(dict.fromkeys(families["family"]))
    caption = "mean drop in points over a family's data sets with its 95 % interval; ▼ clearly worse, ▲ clearly better"
    caption = "; ".join(filter(None, [caption, _means_of(run)]))
    table = WholeTable(title="What pruning cost", caption=caption, box=None, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("pruned", no_wrap=True)
    for name in names:
        metric = METRICS[families.loc[families["family"] == name, "metric"].iloc[0]]
        table.add_column(f"{name.capitalize()}\n{metric.short}", no_wrap=True)
    table.add_column("Perpl.", justify="right", no_wrap=True)
    texts = headline[headline["family"] == "language_modelling"]
    for setting in shown.settings:
        own = {row["family"]: row for row in records(families[families["setting"] == setting.label])}
        drops = [_drop(own[name]) if name in own else Text("") for name in names]
        table.add_row(setting.label, *drops, _growth(texts[texts["setting"] == setting.label]))
    return table


def _drop(row: dict[str, Any]) -> Text:
    metric = METRICS[row["metric"]]
    interval = metric.interval(row["damage_low"], row["damage_high"])
    text = f"{metric.number(row['damage'])} {VERDICTS[row['verdict']]}\n{interval}"
    return Text(text, STYLES[row["verdict"]])


def _growth(rows: pd.DataFrame) -> str:
    """Growth of the first text's perplexity."""
    if rows.empty:
        return ""
    first = records(rows)[0]
    return f"{TIMES}{number(first['value'] / first['dense'])}"


MOST_COLUMNS = 6

CAPTION = (
    "pruned score, then its drop in points (perplexity: its rise) with the paired 95 % interval; "
    "▼ clearly worse, ▲ clearly better"
)


def terminal_table(run: RunArtefacts, *, points: bool = False) -> WholeTable:
    """Data sets grouped by family × (dense, each pruned setting), with the share of skill that is kept.

    With more than :data:`MOST_COLUMNS` settings, settings × families instead.

    Args:
        run: The run's artefacts.
        points: Drops in points instead, with the mean drop of each family; so are runs without the share of skill.

    Returns:
        A table for ``rich.console.Console.print``.
    """
    many = len(run.settings) > MOST_COLUMNS
    skill = None if points else skill_table(run)
    if skill is not None and not many:
        return skill_by_dataset(run, skill)
    if skill is not None:
        return _skill_of_settings(run)
    return settings_table(run) if many else _points_table(run)


def _skill_of_settings(run: RunArtefacts) -> WholeTable:
    shown = pooled(run) if is_crowded(run) else run
    skill = skill_table(shown)
    assert skill is not None  # the means of what there is
    return skill_by_setting(shown, skill, shown.settings, _means_of(run))


def _means_of(run: RunArtefacts) -> str:
    pruned = run.results[run.results["method"] != "dense"]
    alone, every = (rows["setting"].nunique() for rows in (pruned[~is_guided(pruned["calibration"])], pruned))
    which = "" if alone == every else " that protect nothing"
    means = f"means of {alone} pruned models{which} over calibration sets and draws" if is_crowded(run) else ""
    return "; ".join(filter(None, [means, left_out_text(run)]))


def _points_table(run: RunArtefacts) -> WholeTable:
    headline = headline_table(run)
    headline["label"] = item_labels(headline)
    families = family_table(headline)
    labels = [setting.label for setting in run.settings]
    caption = "; ".join(filter(None, [CAPTION, left_out_text(run)]))
    table = WholeTable(
        title="Dense against pruned", caption=caption, box=None, pad_edge=False, padding=(0, 2, 0, 0), keys=2
    )
    table.add_column("data set", no_wrap=True)
    table.add_column("dense", justify="right", no_wrap=True)
    for label in labels:
        table.add_column(label, justify="left", no_wrap=True)
    for family, rows in headline.groupby("family", sort=False):
        metric = METRICS[rows["metric"].iloc[0]]
        means = families[families["family"] == family]
        table.add_section()
        table.add_row(Text(_heading(str(family), metric), "bold"), "", *_means(means, labels, metric))
        for _, items in rows.groupby(["label", "dense"], sort=False):
            cells = _by_setting(items)
            scores = [_score(cells[name], metric) if name in cells else Text("") for name in labels]
            first = items.iloc[0]
            table.add_row(f"  {first['label']}", metric.number(first["dense"]), *scores)
    return table


def _by_setting(rows: pd.DataFrame) -> dict[str, dict[str, Any]]:
    return {row["setting"]: row for row in records(rows)}


def _means(families: pd.DataFrame, labels: list[str], metric: Metric) -> list[Text]:
    cells = _by_setting(families)
    return [
        Text.assemble(("mean  ", "dim"), _damage(cells[label], metric)) if label in cells else Text("")
        for label in labels
    ]


def _heading(family: str, metric: Metric) -> str:
    return metric.label if family == "language_modelling" else f"{family.capitalize()}, {metric.short}"


def _score(row: dict[str, Any], metric: Metric) -> Text:
    return Text.assemble(f"{metric.number(row['value']):<6}", _damage(row, metric))


def _damage(row: dict[str, Any], metric: Metric) -> Text:
    interval = metric.interval(row["damage_low"], row["damage_high"])
    text = f"{metric.number(row['damage']):>5} {interval:<12} {VERDICTS[row['verdict']]}".rstrip()
    return Text(text, STYLES[row["verdict"]])


CONCEPT_CAPTION = (
    "average precision of reading the concept back from held-out documents, by its set of neurons and by its best "
    "single one; guessing gives their share of it"
)


def concept_summary(concepts: pd.DataFrame) -> WholeTable:
    """How well each concept was found, one row per concept.

    Args:
        concepts: Rows of ``concepts.parquet``.
    """
    table = WholeTable(title="Association", caption=CONCEPT_CAPTION, box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("concept", no_wrap=True)
    for name in ("evidence", "guessing", "AP, set", "AP, neuron", "discoveries"):
        table.add_column(name, justify="right", no_wrap=True)
    for level, rows in concepts.assign(guessing=guessing(concepts)).groupby("level", sort=False):
        table.add_section()
        table.add_row(Text(f"{level} level", "bold"))
        for row in records(rows):
            shares = [number(row[name], 3) for name in ("guessing", "ap_set", "ap_neuron")]
            table.add_row(f"  {row['concept']}", f"{row['n_positive']:,}", *shares, f"{row['discoveries']:,}")
    return table
