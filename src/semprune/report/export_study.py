"""The tables of a study as files."""

from __future__ import annotations

from semprune.report.run.load import RunArtefacts
from semprune.report.tables.prediction import prediction_text, predictors_text
from semprune.report.tables.study import (
    own_prompts_text,
    ranking_text,
    shares_text,
    sizes_text,
    spread_text,
)
from semprune.report.tables.text import files_of


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
