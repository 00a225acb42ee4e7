"""The tables as files: CSV in the stored units for machines, Markdown in points for people."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pandas as pd

from semprune.files import atomic
from semprune.report.artefacts import load_run
from semprune.report.contrasts import contrast_table
from semprune.report.formats import p_value
from semprune.report.labels import family_label
from semprune.report.metrics import METRICS
from semprune.report.schema import records
from semprune.report.tables import PARTS, VERDICTS, family_table, headline_table, item_labels


def markdown(header: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    r"""A Markdown table; bars and line breaks in cells are made harmless.

    Example:
        >>> print(markdown(["a", "b"], [["x|y", "1"]]))
        | a | b |
        | --- | --- |
        | x\|y | 1 |
    """
    header = list(header)
    lines = [header, ["---"] * len(header), *map(list, rows)]
    return "\n".join("| " + " | ".join(_cell(text) for text in line) + " |" for line in lines)


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split("\n"))


def headline_markdown(table: pd.DataFrame) -> str:
    """The headline table for a README: scores in points, perplexity in its own units."""
    table = table.assign(label=item_labels(table))
    header = ["data set", "metric", "method", "n", "dense", "pruned", "drop (rise)", "95 % interval", "p (Holm)", ""]
    return markdown(header, (_markdown_row(row) for row in records(table)))


def _markdown_row(row: dict[str, Any]) -> list[str]:
    metric = METRICS[row["metric"]]
    return [
        row["label"],
        metric.label,
        row["setting"],
        str(row["n"]),
        metric.number(row["dense"]),
        metric.number(row["value"]),
        metric.number(row["damage"]),
        metric.interval(row["damage_low"], row["damage_high"]),
        p_value(row["p_holm"]),
        VERDICTS[row["verdict"]],
    ]


def family_markdown(families: pd.DataFrame) -> str:
    """The family table for a README, in points."""
    rows = []
    for row in records(families):
        metric = METRICS[row["metric"]]
        mean = [metric.number(row["damage"]), metric.interval(row["damage_low"], row["damage_high"])]
        cells = [family_label(row["family"]), metric.label, row["setting"], str(row["datasets"])]
        rows.append([*cells, *mean, VERDICTS[row["verdict"]]])
    return markdown(["family", "metric", "method", "data sets", "mean drop", "95 % interval", ""], rows)


def contrast_markdown(contrasts: pd.DataFrame) -> str:
    """Each family against the others, in points."""
    rows = []
    for row in records(contrasts):
        metric = METRICS[row["metric"]]
        interval = metric.interval(row["difference_low"], row["difference_high"])
        cells = [metric.label, row["setting"], family_label(row["family"]), f"{row['datasets']} / {row['others']}"]
        numbers = [metric.number(row[column]) for column in ("damage", "other_damage", "difference")]
        rows.append([*cells, *numbers, interval, "" if row["verdict"] == "unclear" else row["verdict"]])
    header = ["metric", "method", "family", "data sets / others", "mean drop", "others' mean drop", "difference"]
    return markdown([*header, "95 % interval", "hit"], rows)


def write_tables(run_dir: Path) -> tuple[Path, ...]:
    """Write ``tables/{scores,families,contrasts}.{csv,md}`` in a run folder; each file is replaced atomically.

    ``scores.csv`` holds every metric in the stored units, ``scores.md`` and the family tables the headline metrics;
    the contrasts hold each family against the others.

    Returns:
        The six paths.

    Raises:
        CorruptArtefactError: As :func:`semprune.report.artefacts.load_run`.
    """
    run = load_run(run_dir)
    headline = headline_table(run)
    families, contrasts = family_table(headline), contrast_table(run)
    every = pd.concat([headline_table(run, metric) for metric in METRICS if metric in set(run.results["metric"])])
    contents = {
        "scores.csv": every.drop(columns=list(PARTS)).to_csv(index=False),
        "scores.md": headline_markdown(headline) + "\n",
        "families.csv": families.to_csv(index=False),
        "families.md": family_markdown(families) + "\n",
        "contrasts.csv": contrasts.to_csv(index=False),
        "contrasts.md": contrast_markdown(contrasts) + "\n",
    }
    paths = {run_dir / "tables" / name: text for name, text in contents.items()}
    for path, text in paths.items():
        with atomic(path) as temporary:
            temporary.write_text(text, encoding="utf-8", newline="\n")
    return tuple(paths)
