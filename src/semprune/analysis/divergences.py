"""Divergence of every pruned model of a study from the dense one, item by item or sequence by sequence: no labels."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from semprune.analysis.drops import EVERYTHING, DatasetDrops, Drops, asked_items, wordings
from semprune.artefacts import CELL, NO_ANSWER, Answers, stated_once
from semprune.errors import SettingError
from semprune.statistics.divergence import choice_divergence

TEXT = "language_modelling"
"""The family of texts."""


def item_divergences(answers: Answers, families: Mapping[str, str], target: str) -> Drops:
    """KL divergence over the choices of each item, under every pruned model.

    Args:
        answers: ``predictions.parquet`` of a study, with the scores of all data sets.
        families: Task family of each data set.
        target: A family, a data set, or ``all``.

    Raises:
        SettingError: None of the data sets is of the target, or the run has several backbones.
        UnpairedPredictionsError: A model was measured on other items than the dense one.
    """
    if answers.models["backbone"].nunique() > 1:
        raise SettingError("backbones", answers.models["backbone"].nunique(), "1: drops of several are not compared")
    own = [one for one in answers.datasets if target in (EVERYTHING, families[one.name], one.name)]
    if not own:
        known = [EVERYTHING, *families.values(), *families]
        raise SettingError("target", target, f"one of {', '.join(dict.fromkeys(known))}")
    answered = np.any([(one.right != NO_ANSWER).any(axis=1) for one in own], axis=0)
    is_dense = (answers.models["method"] == "dense").to_numpy()
    dense, pruned = np.flatnonzero(is_dense), np.flatnonzero(~is_dense & answered)
    datasets = []
    for one in own:
        asked = asked_items(one, dense, pruned)
        values = choice_divergence(one.scores[dense][:, asked], one.scores[pruned][:, asked])
        document = pd.factorize(one.document[asked])[0]
        datasets.append(DatasetDrops(one.name, families[one.name], values, document, wordings(one)))
    return Drops(answers.models.iloc[pruned].reset_index(drop=True), tuple(datasets), "item_kl")


def text_divergences(sequences: pd.DataFrame) -> Drops:
    """Mean KL divergence per token of each sequence of the held-out text, under every pruned model.

    Args:
        sequences: ``text_fidelity.parquet`` of a study.

    Raises:
        SettingError: The run has several backbones.
    """
    if sequences["backbone"].nunique() > 1:
        raise SettingError("backbones", sequences["backbone"].nunique(), "1: drops of several are not compared")
    once = stated_once(sequences[sequences["method"] != "dense"])
    datasets, cells = [], once[CELL].drop_duplicates(ignore_index=True)
    for name, own in once.groupby("dataset", sort=False):
        wide = own.pivot_table(index=CELL, columns="sequence", values="kl").loc[list(map(tuple, cells.to_numpy()))]
        datasets.append(DatasetDrops(str(name), TEXT, wide.to_numpy(), np.arange(wide.shape[1])))
    return Drops(cells, tuple(datasets), "kl")
