"""Answers of two models to the same items, by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.stats import entropy

from semprune.errors import UnpairedPredictionsError
from semprune.evaluation.results.item_fidelity import item_fidelity
from semprune.statistics.divergence import choice_divergence
from semprune.statistics.proportions import tango, wilson


def table(scores, labels, dataset="toy"):
    names = [str(item) for item in range(len(scores))]
    best = [int(np.argmax(each)) for each in scores]
    keys = {"dataset": dataset, "prompt": "ask", "item_id": names, "document_id": names}
    return pd.DataFrame(keys | {"label": labels, "prediction": best, "scores": scores})


def test_divergence_equals_scipy():
    random = np.random.default_rng(0)
    dense, pruned = random.normal(size=(2, 5))
    expected = entropy(np.exp(dense) / np.exp(dense).sum(), np.exp(pruned) / np.exp(pruned).sum())
    assert choice_divergence(dense, pruned) == pytest.approx(expected)
    both = np.stack([np.append(pruned, np.nan), np.append(dense, np.nan)])  # a choice that the item has not
    assert choice_divergence(np.append(dense, np.nan), both) == pytest.approx([expected, 0])


def test_flips_are_counted_by_kind():
    dense = table([[0, -1, -2], [0, -1, -2], [0, -1, -2], [0, -1, -2]], [0, 1, 2, 0])
    pruned = table([[-1, 0, -2], [-1, 0, -2], [-1, 0, -2], [0, -1, -2]], [0, 1, 2, 0])
    row = item_fidelity(dense, pruned).iloc[0]
    assert (row["lost"], row["gained"], row["moved"], row["n"]) == (0.25, 0.25, 0.25, 4)
    assert row["flips"] == 0.5
    assert (row["flips_low"], row["flips_high"]) == pytest.approx(tuple(wilson(0.5, 4)))
    assert (row["lost_low"], row["lost_high"]) == pytest.approx(tuple(wilson(0.25, 4)))
    assert row["change"] == 0
    assert row["change_high"] == -row["change_low"] == pytest.approx(tango(1, 1, 4).high)


def test_a_shift_of_a_label_keeps_the_ranks_and_not_the_distribution():
    scores = np.random.default_rng(1).normal(size=(30, 3))
    labels = [0] * 30
    shifted = table((scores + np.array([2.0, 0.0, 0.0])).tolist(), labels)
    row = item_fidelity(table(scores.tolist(), labels), shifted).iloc[0]
    assert row["rank_agreement"] == pytest.approx(1.0)
    assert row["low"] > 0.1


def test_items_of_different_numbers_of_choices_have_no_ranks():
    one = table([[0.0, -1.0], [0.0, -1.0, -2.0]], [0, 0])
    row = item_fidelity(one, one).iloc[0]
    assert row["divergence"] == 0
    assert np.isnan(row["rank_agreement"])


def test_other_items_are_refused():
    one = table([[0.0, -1.0], [0.0, -1.0]], [0, 0])
    with pytest.raises(UnpairedPredictionsError):
        item_fidelity(one, one.iloc[:1])
