"""A study of many pruned models as one of few: means over calibration sets and draws, for each method and amount."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from semprune.artefacts import DRAW, TABLES
from semprune.report.run.artefacts import LABELLED, RunArtefacts
from semprune.report.run.labels import setting_labels, settings_of, varying_columns

MOST_SETTINGS = 24
"""With more pruned models than these no table of all of them can be read; each is in the CSV files."""

_OF_SINGLE = ("predictions", "causal_neurons")
"""Items, and a model's choice of neurons: no means of these."""
_NO_DRAW: dict[str, Any] = {"calibration": "", "calibration_sequences": 0, "calibration_length": 0, "seed": 0}


def is_crowded(run: RunArtefacts) -> bool:
    """Whether the run has more pruned models than a page can show one by one."""
    return len(run.settings) > MOST_SETTINGS


def pooled(run: RunArtefacts) -> RunArtefacts:
    """The run with the models of one method, pattern and sparsity replaced by their mean.

    All models are measured on the same items and documents, so their sampling errors go together: the ends of the
    intervals are averaged like the values, which is exact where the errors are the same and too wide where they are
    not. p values are the normal ones of the averaged intervals.
    """
    kept = {name: frame for name, frame in run.tables.items() if name not in _OF_SINGLE}
    frames = {name: _pooled_frame(kept[name], name) for name in LABELLED if name in kept}
    results = frames["results"]
    results["p"] = _p(results)
    varying = varying_columns(results)
    for frame in frames.values():
        frame["setting"] = setting_labels(frame, varying, run.methods)
    return replace(run, settings=settings_of(results, run.methods), tables=kept | frames)


def _pooled_frame(frame: pd.DataFrame, name: str) -> pd.DataFrame:
    schema = TABLES[name].columns
    keys = [column for column, kind in schema.items() if kind != "number" or column == "sparsity"]
    keys = [column for column in keys if column not in DRAW]
    values = [column for column in schema if column not in (*keys, *DRAW)]
    means = frame.groupby(keys, sort=False, dropna=False)[values].mean().reset_index()
    return means.assign(**_NO_DRAW)


def _p(results: pd.DataFrame) -> pd.Series:
    error = (results["difference_high"] - results["difference_low"]) / (2 * stats.norm.ppf(0.975))
    with np.errstate(divide="ignore", invalid="ignore"):
        p = pd.Series(2 * stats.norm.sf(np.abs(results["difference"] / error)), index=results.index)
    return p.where(results["method"] != "dense")
