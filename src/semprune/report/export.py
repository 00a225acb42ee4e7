"""The tables as files: CSV in the stored units for machines, Markdown and LaTeX in points for people."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd

from semprune.artefacts import records
from semprune.io.files import atomic
from semprune.report.run.formats import p_value
from semprune.report.run.labels import family_label
from semprune.report.run.load_run import RunArtefacts, loaded
from semprune.report.run.metrics import METRICS
from semprune.report.tables.calibration import (
    own_prompts_text,
    prediction_text,
    predictors_text,
    ranking_text,
    shares_text,
    sizes_text,
    spread_text,
)
from semprune.report.tables.carriers import carriers_text
from semprune.report.tables.contrasts import contrast_table
from semprune.report.tables.fidelity import OF_ITEMS, OF_TEXT, fidelity_table, fidelity_text
from semprune.report.tables.frontier import dose_text, frontier_text
from semprune.report.tables.gate_controls import gate_controls_text, gate_overlap_text
from semprune.report.tables.headline import PARTS, VERDICTS, family_table, headline_table, item_labels
from semprune.report.tables.mediation import mediation_text
from semprune.report.tables.prompts import prompt_table, prompts_text
from semprune.report.tables.semantic_loss import causal_text, readout_text
from semprune.report.tables.skill import counted_text, skill_table, skill_text
from semprune.report.tables.text_table import TextTable, files_of


def study_files(run: RunArtefacts) -> dict[str, str]:
    """Name and text of each file; empty for a run that compares no calibration sets.

    ``calibration_ranking``, ``calibration_spread``, ``variance_shares`` and, where the study has what they need,
    ``own_prompts``, ``predictors``, ``prediction`` and ``calibration_sizes``, each as ``.csv``, ``.md`` and ``.tex``.
    """
    study = run.study
    if study is None:
        return {}
    tables = {
        "calibration_ranking": (study.ranking, ranking_text),
        "calibration_spread": (study.spread, spread_text),
        "variance_shares": (study.shares, shares_text),
        "own_prompts": (study.own_prompts, own_prompts_text),
        "predictors": (study.predictors, predictors_text),
        "prediction": (study.prediction, prediction_text),
        "calibration_sizes": (study.sizes, sizes_text),
    }
    contents: dict[str, str] = {}
    for name, (table, text) in tables.items():
        if len(table):
            contents |= files_of(name, table, text(table))
    return contents


def headline_text(table: pd.DataFrame) -> TextTable:
    """The headline table for a README or a paper: scores in points, perplexity in its own units."""
    table = table.assign(label=item_labels(table))
    header = ["data set", "metric", "method", "n", "dense", "pruned", "drop (rise)", "95 % interval", "p (Holm)", ""]
    return TextTable("Dense against pruned.", header, [_headline_row(row) for row in records(table)], names=3)


def _headline_row(row: dict[str, Any]) -> list[str]:
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


def family_text(families: pd.DataFrame) -> TextTable:
    """The family table for a README or a paper, in points."""
    rows = []
    for row in records(families):
        metric = METRICS[row["metric"]]
        mean = [metric.number(row["damage"]), metric.interval(row["damage_low"], row["damage_high"])]
        cells = [family_label(row["family"]), metric.label, row["setting"], str(row["datasets"])]
        rows.append([*cells, *mean, VERDICTS[row["verdict"]]])
    header = ["family", "metric", "method", "data sets", "mean drop", "95 % interval", ""]
    return TextTable("Mean drop per task family.", header, rows, names=3)


def contrast_text(contrasts: pd.DataFrame) -> TextTable:
    """Each family against the others, in points."""
    rows = []
    for row in records(contrasts):
        metric = METRICS[row["metric"]]
        interval = metric.interval(row["difference_low"], row["difference_high"])
        cells = [metric.label, row["setting"], family_label(row["family"]), f"{row['datasets']} / {row['others']}"]
        numbers = [metric.number(row[column]) for column in ("damage", "other_damage", "difference")]
        rows.append([*cells, *numbers, interval, "" if row["verdict"] == "unclear" else row["verdict"]])
    header = ["metric", "method", "family", "data sets / others", "mean drop", "others' mean drop", "difference"]
    return TextTable("Each family against all others.", [*header, "95 % interval", "hit"], rows, names=3)


ASKED: dict[str, Callable[[pd.DataFrame], TextTable]] = {
    "frontier": frontier_text,
    "frontier_doses": dose_text,
    "mediation": mediation_text,
    "carriers": carriers_text,
    "gate_controls": gate_controls_text,
    "gate_overlap": gate_overlap_text,
}
"""Tables of commands that a run may have been asked for."""


def write_tables(run_dir: Path | RunArtefacts) -> tuple[Path, ...]:
    """Write ``tables/{skill,scores,families,contrasts}.{csv,md,tex}`` in a run folder; each is replaced atomically.

    ``skill`` is the share of skill that is kept, where the run has it; the others are in points.

    ``scores.csv`` holds every metric in the stored units, ``scores.md`` and the family tables the headline metrics;
    the contrasts hold each family against the others. ``fidelity_text`` and ``fidelity_items`` compare with the dense
    model without labels, where the run has it. ``prompts`` is there where a data set was asked with several
    wordings, ``readout_loss`` and ``causal_loss`` where a study asked for these losses, ``frontier``,
    ``frontier_doses``, ``carriers``, ``mediation``, ``gate_controls`` and ``gate_overlap`` where ``semprune causal``,
    ``mediate`` and ``controls`` wrote into the folder. A run with several calibration sets has more, see
    :func:`semprune.report.export.study_files`.

    Args:
        run_dir: A run folder, or what :func:`semprune.report.run.load_run.load_run` read of one.

    Returns:
        The paths.

    Raises:
        CorruptArtefactError: As :func:`semprune.report.run.load_run.load_run`.
    """
    run = loaded(run_dir)
    headline = headline_table(run)
    families, contrasts = family_table(headline), contrast_table(run)
    every = pd.concat([headline_table(run, metric) for metric in METRICS if metric in set(run.results["metric"])])
    contents = {
        **files_of("scores", every.drop(columns=list(PARTS)), headline_text(headline)),
        **files_of("families", families, family_text(families)),
        **files_of("contrasts", contrasts, contrast_text(contrasts)),
        **study_files(run),
    }
    skill = skill_table(run)
    if skill is not None:
        contents |= files_of("skill", skill, skill_text(skill, counted_text(run)))
    for name, measures in (("fidelity_text", OF_TEXT), ("fidelity_items", OF_ITEMS)):
        found = fidelity_table(run, measures)
        if found is not None:
            contents |= files_of(name, found, fidelity_text(found, measures))
    for name, table in (("readout_loss", readout_text(run)), ("causal_loss", causal_text(run))):
        if table is not None:
            contents |= files_of(name, run.tables[name], table)
    for name, text_of in ASKED.items():
        if name in run.tables:
            contents |= files_of(name, run.tables[name], text_of(run.tables[name]))
    prompts = prompt_table(run)
    if len(prompts):
        contents |= files_of("prompts", prompts, prompts_text(prompts))
    paths = {run.folder / "tables" / name: text for name, text in contents.items()}
    for path, text in paths.items():
        with atomic(path) as temporary:
            temporary.write_text(text, encoding="utf-8", newline="\n")
    return tuple(paths)
