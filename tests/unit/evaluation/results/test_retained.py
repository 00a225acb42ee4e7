"""Retained skill from predictions: planted shares, admission, label preferences."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from semprune.errors import MetricUndefinedError, SettingError, UnknownDatasetError, UnpairedPredictionsError
from semprune.evaluation.results.retained import admitted_datasets, retained_table

NAMES = ("easy", "hard")
SETTINGS = {"families": dict.fromkeys(NAMES, "topic"), "metrics": dict.fromkeys(NAMES, ("accuracy",))}
RANKED = SETTINGS | {"metrics": dict.fromkeys(NAMES, ("accuracy", "auroc"))}


def predictions(dataset, right, labels=None):
    """Items of two choices, answered as told."""
    labels = np.arange(len(right)) % 2 if labels is None else labels
    names = [f"{item:05}" for item in range(len(right))]
    best = np.where(right, labels, 1 - labels)
    scores = [[0.0, -1.0] if choice == 0 else [-1.0, 0.0] for choice in best]
    return pd.DataFrame({"dataset": dataset, "prompt": "ask", "item_id": names, "document_id": names, "label": labels,
                         "lengths": [[1, 1]] * len(right), "scores": scores})  # fmt: skip


def answered(dataset, share, items, seed=0):
    return predictions(dataset, np.random.default_rng(seed).permutation(items) < share * items)


def test_families_of_equal_lost_share_and_unequal_skill_are_equal():
    dense = pd.concat([answered("easy", 0.9, 1000), answered("hard", 0.6, 1000)])
    pruned = pd.concat([answered("easy", 0.7, 1000, 1), answered("hard", 0.55, 1000, 1)])
    apart = SETTINGS | {"families": {"easy": "topic", "hard": "sentiment"}}
    table = retained_table(dense, pruned, **apart).set_index("dataset")
    assert table.loc["easy", "retained"] == pytest.approx(0.5)
    assert table.loc["hard", "retained"] == pytest.approx(0.5)
    assert table.loc["easy", "dense"] - table.loc["easy", "pruned"] == pytest.approx(0.2)  # points say otherwise
    assert table.loc["hard", "dense"] - table.loc["hard", "pruned"] == pytest.approx(0.05)
    assert table.loc["easy", "low"] > table.loc["hard", "low"]
    assert table.loc["", "retained"].tolist() == pytest.approx([0.5, 0.5])


def test_a_family_is_pooled_over_what_was_admitted():
    dense = pd.concat([answered("easy", 0.9, 400), answered("hard", 0.5, 400)])
    pruned = pd.concat([answered("easy", 0.7, 400, 1), answered("hard", 0.3, 400, 1)])
    row = retained_table(dense, pruned, **SETTINGS, admitted={"easy"}).iloc[-1]
    assert (row["family"], row["n"], row["retained"]) == ("topic", 400, pytest.approx(0.5))
    assert retained_table(dense, pruned, **SETTINGS).iloc[-1]["retained"] == pytest.approx(0.0)


def test_wordings_of_the_same_items_are_one_data_set_and_no_further_evidence():
    dense, pruned = answered("easy", 0.9, 300), answered("easy", 0.7, 300, 1)
    alone = retained_table(dense, pruned, **SETTINGS).iloc[-1]
    twice = [pd.concat([one, one.assign(prompt="again")]) for one in (dense, pruned)]
    both = retained_table(*twice, **SETTINGS).iloc[-1]
    assert (both["dataset"], both["n"]) == ("", 600)
    assert both[["retained", "low", "high"]].tolist() == pytest.approx(alone[["retained", "low", "high"]].tolist())


@pytest.mark.parametrize("frequent", [0.5, 0.8])
def test_a_data_set_that_is_guessed_is_hardly_ever_admitted(frequent):
    random = np.random.default_rng(2)
    wrongly = 0
    for _ in range(300):
        labels = (random.random(100) < frequent).astype(int)
        table = predictions("easy", random.random(100) < frequent, labels)
        wrongly += admitted_datasets(table, **SETTINGS)["admitted"].sum()
    assert wrongly <= 15  # five per cent
    sure = admitted_datasets(answered("easy", 0.9, 100), **SETTINGS).iloc[0]
    assert sure["admitted"]
    assert (sure["guessing"], sure["dense"]) == (0.5, 0.9)


def test_ranks_are_taken_where_there_are_any_and_a_preference_for_a_label_is_no_loss():
    dense = answered("easy", 0.9, 200)
    shifted = dense.assign(scores=[[first + 9.0, second] for first, second in dense["scores"]])
    row = retained_table(dense, shifted, **RANKED).iloc[0]
    assert (row["metric"], row["guessing"], row["retained"]) == ("auroc", 0.5, pytest.approx(1.0))
    assert row["dense_d_prime"] == row["pruned_d_prime"] > 1
    assert retained_table(dense, shifted, **SETTINGS).iloc[0]["retained"] == pytest.approx(0.0)


def test_what_cannot_be_compared_is_refused():
    dense = answered("easy", 0.9, 20)
    with pytest.raises(UnpairedPredictionsError):
        retained_table(dense, dense.iloc[1:], **SETTINGS)
    with pytest.raises(UnknownDatasetError, match="easy"):
        retained_table(dense, dense, families={}, metrics={})
    with pytest.raises(MetricUndefinedError, match="has none of auroc"):
        admitted_datasets(dense, families={"easy": "topic"}, metrics={"easy": ["f1"]})
    with pytest.raises(SettingError, match="margin"):
        admitted_datasets(dense, **SETTINGS, margin=1.5)
