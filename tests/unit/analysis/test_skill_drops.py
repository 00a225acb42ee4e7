"""Shares of skill as drops of items: their mean and error against the table of retained skill."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from semprune.analysis import SkillOf, recommend, skill_drops
from semprune.artefacts import Answers
from semprune.errors import MetricUndefinedError, SettingError
from semprune.evaluation import retained_table

FAMILIES = {"easy": "topic", "hard": "topic", "ranked": "sentiment", "long": "reasoning"}
METRICS = {"easy": ["accuracy"], "hard": ["accuracy"], "ranked": ["auroc"], "long": ["acc_norm"]}
CELLS = {"dense": 2.0, "wanda": 1.0, "ria": 0.5}


def planted(items=600):
    """Answers of three models that know less and less, to data sets of every metric of skill."""
    random, parts = np.random.default_rng(0), []
    for dataset in FAMILIES:
        labels = np.arange(items) % 2
        noise = random.normal(size=(items, 2))
        lengths = [[10, 1] if dataset == "long" else [1, 1]] * items
        for method, knows in CELLS.items():
            ease = 0.3 if dataset == "hard" else 1.0
            scores = (ease * knows * np.eye(2)[labels] + noise + 0.5 * random.normal(size=noise.shape)) * lengths
            names = [f"{item:04}" for item in range(items)]
            keys = {"backbone": "b", "method": method, "pattern": "unstructured", "seed": 0, "prompt": "ask",
                    "sparsity": 0.0 if method == "dense" else 0.5, "calibration": "", "calibration_sequences": 0,
                    "calibration_length": 0, "dataset": dataset, "item_id": names, "document_id": names,
                    "label": labels, "prediction": scores.argmax(axis=1), "scores": scores.tolist(),
                    "lengths": lengths}  # fmt: skip
            parts.append(pd.DataFrame(keys))
    return pd.concat(parts, ignore_index=True)


@pytest.fixture(scope="module")
def table():
    return planted()


@pytest.fixture(scope="module")
def skills():
    return {name: SkillOf(family, METRICS[name][0], 0.5) for name, family in FAMILIES.items()}


@pytest.mark.parametrize("target", [*dict.fromkeys(FAMILIES.values()), "easy", "hard", "ranked", "long"])
def test_the_mean_is_the_share_lost_and_the_error_that_of_its_interval(table, skills, target):
    drops = skill_drops(Answers.of(table), skills, target)
    for place, method in enumerate(drops.cells["method"]):
        own = [table[table["method"] == name] for name in ("dense", method)]
        kept = retained_table(*own, families=FAMILIES, metrics=METRICS)
        family = kept["dataset"].eq("") & kept["family"].eq(target)
        row = kept[family | kept["dataset"].eq(target)].iloc[0]
        found = drops.estimate(np.eye(2)[place], target)
        assert found.value == pytest.approx(1 - row["retained"])
        # Fieller's interval is not symmetric where the skill is small, its width is the same to first order
        assert found.interval[1] - found.interval[0] == pytest.approx(row["high"] - row["low"], rel=0.1)


def test_lengths_of_choices_count(table):
    answers = Answers.of(table)
    long = next(one for one in answers.datasets if one.name == "long")
    scores = np.stack(table.loc[(table["dataset"] == "long") & (table["method"] == "dense"), "scores"].to_list())
    expected = (scores / [10, 1]).argmax(axis=1) == long.label
    assert (long.normalised[0] == expected).all()
    assert (long.normalised[0] != long.right[0]).any()
    unknown = Answers.of(table.drop(columns="lengths"))
    with pytest.raises(MetricUndefinedError, match="'long' do not say how long the choices are"):
        skill_drops(unknown, {"long": SkillOf("reasoning", "acc_norm", 0.5)}, "all")


def test_the_better_model_is_recommended_by_what_it_keeps(table, skills):
    found = recommend(skill_drops(Answers.of(table), skills, "topic"), "topic", sparsity=0.5)
    assert found.table["method"].tolist() == ["wanda", "ria"]
    assert found.metric == "retained"
    assert found.table["p_holm"][1] < 0.001


def test_what_has_no_skill_is_refused(table, skills):
    with pytest.raises(SettingError, match="target must be one of all, topic"):
        skill_drops(Answers.of(table), skills, "poetry")
    with pytest.raises(SettingError, match="better than guessing"):
        skill_drops(Answers.of(table), {"easy": SkillOf("topic", "accuracy", 0.99)}, "easy")
