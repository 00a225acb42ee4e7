"""What the section on calibration shows: rankings, heatmaps, how much it matters, own prompts, sizes, prediction."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from semprune.report.run.load_run import RunArtefacts
from semprune.report.run.metrics import METRICS
from semprune.report.run.study_tables import StudyTables
from semprune.report.sections.calibration_heat import HeatChoice, drop_heatmaps
from semprune.report.sections.prediction import PredictionView, prediction_views
from semprune.report.sections.section import Section
from semprune.report.tables.calibration import (
    own_prompts_text,
    ranking_text,
    shares_text,
    sizes_text,
    spread_text,
    target_label,
)
from semprune.report.tables.text_table import TextTable


@dataclass(frozen=True, slots=True)
class RankingView:
    """One target and metric: which calibration set is best."""

    key: str
    label: str
    evidence: str
    table: TextTable


@dataclass(frozen=True, slots=True)
class CalibrationSection:
    """The whole section.

    Attributes:
        ranked: Rankings, one per target and metric.
        targets: Key and name of each target, for the select.
        metrics: Key and name of each metric, for the select.
        heat: The heatmaps and their selects.
        spread: How much the calibration set matters.
        shares: Which choice explains how much.
        own_prompts: Whether own prompts help; None without prompt sets.
        sizes: Mean drop by size; None with one size.
        prediction: What predicts the damage.
        left_out: Which models are in no comparison; empty if all are.
    """

    ranked: list[RankingView]
    targets: list[tuple[str, str]]
    metrics: list[tuple[str, str]]
    heat: HeatChoice
    spread: TextTable
    shares: TextTable
    own_prompts: TextTable | None
    sizes: TextTable | None
    prediction: PredictionView
    left_out: str


def calibration_section(run: RunArtefacts) -> CalibrationSection | None:
    """The section; None for a run that compares no calibration sets."""
    study = run.study
    if study is None:
        return None
    metrics = list(study.drops)
    targets = list(dict.fromkeys(target for metric in metrics for target in study.targets(metric)))
    return CalibrationSection(
        ranked=_rankings(study, targets, metrics),
        targets=[(f"ranking-{place}", target_label(target)) for place, target in enumerate(targets)],
        metrics=[(metric, METRICS[metric].label) for metric in metrics],
        heat=drop_heatmaps(run, study),
        spread=spread_text(study.spread),
        shares=shares_text(study.shares),
        own_prompts=_own_prompts(study),
        sizes=sizes_text(study.sizes) if len(study.sizes) else None,
        prediction=prediction_views(study),
        left_out=_left_out(study),
    )


def _rankings(study: StudyTables, targets: list[str], metrics: list[str]) -> list[RankingView]:
    views = []
    for place, target in enumerate(targets):
        for metric in metrics:
            rows = study.ranking[(study.ranking["target"] == target) & (study.ranking["metric"] == metric)]
            label = f"{target_label(target)}, {METRICS[metric].label}"
            evidence = "No data set of this family has this metric."
            if len(rows):
                first = rows.iloc[0]
                evidence = f"{first['datasets']} data sets, {first['items']} items, {first['seeds']} draws of each set."
            views.append(RankingView(f"ranking-{place}-{metric}", label, evidence, ranking_text(rows).without(2)))
    return views


def _own_prompts(study: StudyTables) -> TextTable | None:
    """Against the mean of the other sets; single sets are in the files."""
    rows = study.own_prompts[study.own_prompts["against"] == "mean of others"]
    return own_prompts_text(rows) if len(rows) else None


def _left_out(study: StudyTables) -> str:
    rest = study.measured - study.compared
    if not rest:
        return ""
    return (
        f"{rest} of {study.measured} calibrated models are in no comparison of calibration sets: their method, amount, "
        "size and seed were not measured with every set."
    )


def _view(run: RunArtefacts, _: RunArtefacts) -> dict[str, Any] | None:
    section = calibration_section(run)
    return None if section is None else {"calibration": section}


SECTION = Section("calibration", "Calibration", _view)
