"""Spread over prompts, and differences between number formats, by hand."""

from __future__ import annotations

import math

import pandas as pd
import pytest

from semprune.errors import UnpairedPredictionsError
from semprune.evaluation import compare_scores, prompt_spread
from semprune.evaluation.results.comparison import SPREAD_COLUMNS


def test_mean_sd_and_ends_by_hand():
    keys = {"dataset": ["x"] * 3 + ["y"], "family": "topic", "metric": "accuracy", "prompt": ["a", "b", "c", "a"]}
    table = prompt_spread(pd.DataFrame(keys | {"value": [0.5, 0.8, 0.2, 1.0]}))
    assert tuple(table.columns) == SPREAD_COLUMNS
    first, second = table.to_dict("records")
    assert (first["prompts"], first["lowest"], first["highest"]) == (3, 0.2, 0.8)
    assert (first["lowest_prompt"], first["highest_prompt"]) == ("c", "b")
    assert (first["mean"], first["sd"]) == (pytest.approx(0.5), pytest.approx(0.3))
    assert second["mean"] == 1.0
    assert math.isnan(second["sd"])


def test_two_formats_by_hand():
    keys = {"prompt": "p", "item_id": ["0", "1"], "document_id": ["0", "1"], "label": [0, 1]}
    exact = pd.DataFrame(keys | {"dataset": ["x", "y"], "prediction": [0, 1], "scores": [[-1.0, -2.0], [-3.0, -1.0]]})
    half = pd.DataFrame(keys | {"dataset": ["x", "y"], "prediction": [1, 1], "scores": [[-2.5, -2.0], [-3.5, -1.0]]})
    table = compare_scores(exact, half.iloc[::-1]).set_index("dataset")
    assert table["mean_difference"].to_dict() == {"x": 0.75, "y": 0.25, "all": 0.5}
    assert table["largest_difference"].to_dict() == {"x": 1.5, "y": 0.5, "all": 1.5}
    assert table["changed"].to_dict() == {"x": 1.0, "y": 0.0, "all": 0.5}
    assert table["accuracy"].to_dict() == {"x": -1.0, "y": 0.0, "all": -0.5}
    with pytest.raises(UnpairedPredictionsError):
        compare_scores(exact, half[:1])
