"""Shares of skill that every pruned model of a study loses, as drops of items: their mean is the share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from semprune.analysis.drops import EVERYTHING, DatasetDrops, Drops, paired_values, wordings
from semprune.artefacts import NO_ANSWER, Answers
from semprune.errors import SettingError


class SkillOf(NamedTuple):
    """How the skill of a data set is measured.

    Attributes:
        family: Its task family.
        metric: ``accuracy``, ``acc_norm`` or ``auroc``.
        guessing: Score of a guess.
    """

    family: str
    metric: str
    guessing: float


def skill_drops(answers: Answers, skills: Mapping[str, SkillOf], target: str) -> Drops:
    r"""Share of the dense model's skill that each pruned model loses on a target, item by item.

    .. math:: L = \frac{\sum_k (D_k - P_k)}{\sum_k (D_k - g_k)}, \quad
        \frac{d_{ki} - p_{ki} - L (d_{ki} - D_k)}{\frac{1}{K} \sum_k (D_k - g_k)}

    The values of items on the right have the mean L over the K data sets and, to first order, its variance, that of the
    dense model's skill included. They are linear in the pruned models, so that choices can be averaged and compared.

    Args:
        answers: ``predictions.parquet`` of a study.
        skills: The data sets that count.
        target: A family, a data set, or ``all``.

    Raises:
        SettingError: None of the data sets is of the target, the dense model has no skill there, or the run has several
            backbones.
        UnpairedPredictionsError: A model was measured on other items than the dense one.
        MetricUndefinedError: A data set has not what its metric needs.
    """
    if answers.models["backbone"].nunique() > 1:
        raise SettingError("backbones", answers.models["backbone"].nunique(), "1: drops of several are not compared")
    chosen = {name: skill for name, skill in skills.items() if target in (EVERYTHING, skill.family, name)}
    own = [one for one in answers.datasets if one.name in chosen]
    if not own:
        known = [EVERYTHING, *(skill.family for skill in skills.values()), *skills]
        raise SettingError("target", target, f"one of {', '.join(dict.fromkeys(known))}: what the dense model can do")
    answered = np.any([(one.right != NO_ANSWER).any(axis=1) for one in own], axis=0)
    is_dense = (answers.models["method"] == "dense").to_numpy()
    dense, pruned = np.flatnonzero(is_dense), np.flatnonzero(~is_dense & answered)
    values = [paired_values(one, dense, pruned, chosen[one.name].metric) for one in own]
    drops = lost_shares([each[:2] for each in values], [chosen[one.name].guessing for one in own])
    if drops is None:
        raise SettingError("target", target, "something that the dense model does better than guessing")
    datasets = []
    for one, (_, _, document), lost in zip(own, values, drops, strict=True):
        datasets.append(DatasetDrops(one.name, chosen[one.name].family, lost, document, wordings(one)))
    return Drops(answers.models.iloc[pruned].reset_index(drop=True), tuple(datasets), "retained")


def lost_shares(
    values: Sequence[tuple[Float[np.ndarray, "dense items"], Float[np.ndarray, "cells items"]]],
    guessing: Sequence[float],
) -> list[Float[np.ndarray, "cells items"]] | None:
    """Values of items whose mean over the data sets is the share of skill that each model loses.

    Args:
        values: Of each data set the dense model's and the pruned models', of :func:`paired_values`.
        guessing: Score of a guess on each.

    Returns:
        Of each data set, see :func:`skill_drops`; None where the dense model is no better than guessing.
    """
    skill = float(np.mean([whole.mean() - guess for (whole, _), guess in zip(values, guessing, strict=True)]))
    if not skill > 0:
        return None
    lost = np.mean([(whole - left).mean(axis=1) for whole, left in values], axis=0)[:, None] / skill
    return [(whole - left - lost * (whole - whole.mean())) / skill for whole, left in values]
