"""Results rows: values, pairing and tests, by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.stats import binomtest

from semprune.errors import UnknownDatasetError, UnpairedPredictionsError
from semprune.evaluation.predictions.prediction import predict, prediction_table
from semprune.evaluation.results.summarise import MEASUREMENT_COLUMNS, summarise, summarise_perplexity
from semprune.statistics.proportions import tango
from semprune.statistics.significance import holm
from semprune.types import Item

SETTINGS = {
    "families": {"toy": "sentiment", "other": "topic"},
    "metrics": {"toy": ["accuracy", "auroc"], "other": ["accuracy"]},
}


def table(right, dataset="toy", prompt="plain", documents=None):
    """Items of label 0 and 1 in turn, answered rightly or wrongly with a margin of their own."""
    made = []
    for index, correct in enumerate(right):
        label = index % 2
        document = documents[index] if documents else str(index)
        item = Item(dataset, f"{index:03d}", document, (("c", " a"), ("c", " b")), label, prompt)
        best = label if correct else 1 - label
        made.append(predict(item, tuple(-1.0 - 0.01 * index if c == best else -2.0 for c in range(2))))
    return prediction_table(made)


def test_dense_rows_have_value_interval_and_no_test():
    right = [True] * 30 + [False] * 10
    result = summarise(table(right), seed=1, **SETTINGS)
    assert tuple(result.columns) == MEASUREMENT_COLUMNS
    assert result["metric"].tolist() == ["accuracy", "auroc"]
    row = result.iloc[0]
    assert (row["value"], row["dense"], row["difference"], row["n"], row["family"]) == (
        0.75,
        0.75,
        0.0,
        40,
        "sentiment",
    )
    expected = binomtest(30, 40).proportion_ci(method="wilson")
    assert (row["low"], row["high"]) == pytest.approx((expected.low, expected.high))
    assert np.isnan(row["p"])
    assert (row["difference_low"], row["difference_high"]) == (0.0, 0.0)


def test_pruned_rows_are_paired_item_by_item():
    dense, pruned = [True] * 40, [False] * 6 + [True] * 34
    shuffled = table(pruned).sample(frac=1.0, random_state=0)
    row = summarise(shuffled, table(dense), **SETTINGS).iloc[0]
    assert row["difference"] == pytest.approx(-0.15)
    assert row["p"] == pytest.approx(2 * 0.5**6)  # exact McNemar: six of six flips one way
    assert (row["difference_low"], row["difference_high"]) == pytest.approx(tango(0, 6, 40))


def test_flips_of_one_document_are_one_piece_of_evidence():
    documents = ["d0"] * 6 + [f"s{i}" for i in range(34)]
    dense, pruned = table([True] * 40, documents=documents), table([False] * 6 + [True] * 34, documents=documents)
    result = summarise(pruned, dense, **SETTINGS)
    assert result["p"][0] == 1.0
    assert result["difference_low"][0] < -0.3  # as wide as of seven items
    assert result["difference_high"][0] >= 0.0  # the interval says what the test says


def test_a_model_against_itself_shows_no_difference():
    predictions = table([True, False] * 20)
    result = summarise(predictions, predictions, **SETTINGS)
    assert result["difference"].tolist() == [0.0, 0.0]
    assert result["p"].tolist() == [1.0, 1.0]
    assert (result["difference_low"] < 0).all()  # no difference was seen, not: there is none
    assert (result["difference_high"] > 0).all()


def test_the_same_seed_gives_the_same_rows_and_prompts_stay_apart():
    both = pd.concat(
        [table([True, False] * 10), table([True] * 20, prompt="other"), table([True] * 6, dataset="other")]
    )
    result = summarise(both, seed=3, **SETTINGS)
    keys = list(zip(result["dataset"], result["prompt"], result["metric"], strict=True))
    assert keys == [
        ("other", "plain", "accuracy"),
        ("toy", "other", "accuracy"),
        ("toy", "other", "auroc"),
        ("toy", "plain", "accuracy"),
        ("toy", "plain", "auroc"),
    ]
    pd.testing.assert_frame_equal(summarise(both.iloc[::-1], seed=3, **SETTINGS), result)


def test_missing_partners_and_unknown_data_sets_are_errors():
    with pytest.raises(UnpairedPredictionsError, match="'toy': 2 items have dense predictions only, 0 pruned only"):
        summarise(table([True] * 8), table([True] * 10), **SETTINGS)
    with pytest.raises(UnknownDatasetError, match="unknown data set 'tou'"):
        summarise(table([True] * 8, dataset="tou"), **SETTINGS)


def test_perplexity_is_paired_by_sequence():
    dense = torch.linspace(2.0, 4.0, 50, dtype=torch.float64)
    [row] = summarise_perplexity(dense + 0.1, dense, dataset="c4").to_dict("records")
    assert row["dense"] == pytest.approx(np.exp(3.0))
    assert row["value"] == pytest.approx(np.exp(3.1))
    assert row["low"] < row["value"] < row["high"]
    # each resample's difference is its dense perplexity times (e^0.1 - 1), so the interval scales alike
    [alone] = summarise_perplexity(dense, dataset="c4").to_dict("records")
    assert row["difference_low"] == pytest.approx(alone["low"] * np.expm1(0.1))
    assert row["p"] == pytest.approx(2 / 1001)
    assert (row["family"], row["metric"], row["n"]) == ("language_modelling", "perplexity", 50)
    with pytest.raises(UnpairedPredictionsError):
        summarise_perplexity(dense[:3], dense, dataset="c4")


def test_holm_over_a_results_column():
    frame = pd.DataFrame({"p": [0.01, np.nan, 0.04]})
    assert holm(frame["p"].to_numpy())[[0, 2]] == pytest.approx([0.02, 0.04])


def ranked(random, knows, dataset="toy", choices=3, documents=60):
    """Predictions of items, two of a document, whose scores know their label so well."""
    labels = np.repeat(random.integers(0, choices, documents), 2)
    shared = np.repeat(random.normal(size=(documents, choices)), 2, axis=0)
    scores = knows * np.eye(choices)[labels] + shared + random.normal(size=shared.shape)
    names = [f"{item:04}" for item in range(len(labels))]
    keys = {"dataset": dataset, "prompt": "ask", "item_id": names, "label": labels}
    keys |= {"document_id": [str(item // 2) for item in range(len(labels))], "lengths": [[1] * choices] * len(labels)}
    return pd.DataFrame(keys | {"scores": scores.tolist()})


def test_auroc_of_results_does_not_move_with_the_preference_for_a_label():
    dense = ranked(np.random.default_rng(0), 1.0)
    pruned = dense.assign(scores=[[first, second, third + 5.0] for first, second, third in dense["scores"]])
    row = summarise(pruned, dense, **SETTINGS).iloc[1]
    assert row["metric"] == "auroc"
    assert row["value"] == pytest.approx(row["dense"], abs=1e-12)
    assert row["p"] == 1.0
    assert row["low"] < row["value"] < row["high"] < 1
    assert row["difference_low"] < 0 < row["difference_high"]


def test_no_interval_is_of_width_zero_and_none_leaves_its_range():
    right, wrong = table([True] * 12), table([False] * 12)
    for predictions, dense in ((right, None), (right, right), (wrong, right), (wrong, None)):
        result = summarise(predictions, dense, **SETTINGS)
        assert (result["high"] - result["low"] > 0.1).all()
        assert result[["low", "high"]].stack().between(0, 1).all()
        if dense is not None:
            assert (result["difference_high"] - result["difference_low"] > 0.1).all()
            assert (result["p"] > 0).all()


@pytest.mark.parametrize("lost", range(12))
def test_p_is_below_five_per_cent_where_and_only_where_the_interval_leaves_out_zero(lost):
    pruned = [False] * lost + [True] * (40 - lost)
    result = summarise(table(pruned), table([True] * 38 + [False] * 2), **SETTINGS)
    for row in result.to_dict("records"):
        assert (row["p"] < 0.05) == (not row["difference_low"] <= 0 <= row["difference_high"])


@pytest.mark.slow
def test_results_reject_five_per_cent_under_the_null():
    random = np.random.default_rng(1)
    rejected = np.zeros(2)
    for _ in range(2000):
        dense = ranked(random, 0.8)
        labels = dense["label"].to_numpy()
        both = []
        for _ in range(2):
            noise = np.repeat(random.normal(size=(60, 3)), 2, axis=0) + random.normal(size=(120, 3))
            scores = np.stack(dense["scores"].to_list()) + 0.5 * noise
            both.append(dense.assign(scores=scores.tolist(), label=labels))
        rejected += (summarise(both[0], both[1], **SETTINGS)["p"] < 0.05).to_numpy()
    exact, delong = rejected / 2000
    assert 0.04 <= delong <= 0.06
    assert 0.02 <= exact <= 0.05  # an exact test of counts keeps below its level
