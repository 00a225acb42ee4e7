"""Flipped examples, by hand and against the counts behind the paired test."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from semprune.errors import UnpairedPredictionsError
from semprune.evaluation.predictions.prediction import predict, prediction_table
from semprune.evaluation.results.flips import FLIP_COLUMNS, flips
from semprune.types import Item


def table(rows, dataset="toy"):
    """Rows of (label, scores)."""
    return prediction_table(
        predict(
            Item(dataset, f"{index:02d}", f"d{index // 2}", (("c", " x"),) * len(scores), label, "ask"), tuple(scores)
        )
        for index, (label, scores) in enumerate(rows)
    )


def test_each_kind_of_flip_with_both_scores():
    dense = table([(0, [-1, -2, -9]), (0, [-2, -1, -9]), (0, [-9, -1, -2]), (1, [-3, -1, -2])])
    pruned = table([(0, [-4, -2, -9]), (0, [-1, -4, -9]), (0, [-9, -3, -2]), (1, [-3, -2, -9])])
    found = flips(dense, pruned)
    assert tuple(found.columns) == FLIP_COLUMNS
    assert found["item_id"].tolist() == ["00", "01", "02"]  # 03 is right both times
    assert found["flip"].tolist() == ["lost", "gained", "moved"]
    assert found["document_id"].tolist() == ["d0", "d0", "d1"]
    assert found[["dense_prediction", "pruned_prediction"]].to_numpy().tolist() == [[0, 1], [1, 0], [1, 2]]
    assert found["dense_scores"].tolist()[0] == [-1, -2, -9]
    assert found["pruned_scores"].tolist()[0] == [-4, -2, -9]
    assert found["dense_margin"].tolist() == [1, -1, -8]
    assert found["pruned_margin"].tolist() == [-2, 3, -7]


SCORES = st.lists(st.integers(-5, 0), min_size=3, max_size=3)


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 2), SCORES, SCORES), min_size=1, max_size=20))
def test_lost_minus_gained_is_the_drop_in_right_answers(rows):
    dense = table([(label, scores) for label, scores, _ in rows])
    pruned = table([(label, scores) for label, _, scores in rows])
    found = flips(dense, pruned)["flip"].tolist()
    right = [int((made["prediction"] == made["label"]).sum()) for made in (dense, pruned)]
    assert found.count("lost") - found.count("gained") == right[0] - right[1]
    assert len(found) == int(np.sum(dense["prediction"].to_numpy() != pruned["prediction"].to_numpy()))
    assert flips(dense, dense).empty


def test_tables_of_other_items_are_refused():
    dense, pruned = table([(0, [-1, -2])] * 3), table([(0, [-1, -2])] * 2)
    with pytest.raises(UnpairedPredictionsError, match="'toy': 1 items have dense predictions only, 0 pruned"):
        flips(dense, pruned)
    with pytest.raises(UnpairedPredictionsError):
        flips(dense, table([(0, [-1, -2])] * 3, dataset="other"))
