"""Every table of the analysis on a planted study whose answers are known."""

import numpy as np
import pandas as pd
import pytest
from tests.unit.analysis.planted_grid import HARM, ITEMS, study

from semprune.analysis import (
    calibration_ranking,
    calibration_spread,
    prediction_table,
    predictor_table,
    read_drops,
    recommend,
    spearman_table,
    task_likeness_effect,
    variance_shares,
)
from semprune.analysis.calibration import _gap, crossed_gap
from semprune.analysis.drops import DatasetDrops, Drops
from semprune.analysis.prediction import PENALTIES, _fitted, _ridge
from semprune.analysis.predictors import _crossed
from semprune.artefacts import CELL, Answers, stated_once
from semprune.errors import SettingError, UnpairedPredictionsError
from semprune.statistics.auroc import auroc, auroc_values
from semprune.statistics.estimate import Estimate


@pytest.fixture(scope="module")
def tables():
    return study()


@pytest.fixture(scope="module")
def drops(tables):
    return read_drops(answers(tables), tables["results"], "accuracy")


@pytest.mark.parametrize("choices", [2, 4])
def test_auroc_is_the_mean_of_its_values_and_their_variance_is_that_of_resampling(choices):
    rng = np.random.default_rng(0)
    labels = rng.integers(0, choices, 300)
    scores = rng.normal(size=(300, choices)).round(1) + np.eye(choices)[labels]
    values = auroc_values(scores, labels)
    assert values.mean() == pytest.approx(float(auroc(scores, labels)), abs=1e-12)

    weights = rng.multinomial(300, np.full(300, 1 / 300), 2000).astype(float)
    spread = float(auroc(scores, labels, weights).std())
    assert values.std(ddof=1) / np.sqrt(300) == pytest.approx(spread, rel=0.1)


def test_one_label_has_no_auroc():
    assert np.isnan(auroc_values(np.zeros((3, 2)), np.array([1, 1, 1]))).all()


def test_drops_of_auroc_do_not_move_with_a_preference_for_one_label():
    keys = {"backbone": "b", "pattern": "unstructured", "calibration": "", "calibration_sequences": 0, "seed": 0,
            "calibration_length": 0, "calibrated": False, "dataset": "trec", "prompt": "p"}  # fmt: skip
    rng, names = np.random.default_rng(3), [str(item) for item in range(60)]
    labels = np.arange(60) % 3
    scores = rng.normal(size=(60, 3)) + np.eye(3)[labels]
    tables = []
    for method, own in (("dense", scores), ("one", scores * 0.5), ("two", scores * 0.5 + np.array([5.0, 0, 0]))):
        own_keys = keys | {"method": method, "sparsity": 0.5 * (method != "dense"), "item_id": names}
        tables.append(pd.DataFrame(own_keys | {"document_id": names, "label": labels, "prediction": own.argmax(1),
                                               "scores": own.tolist()}))  # fmt: skip
    results = pd.DataFrame([{"dataset": "trec", "family": "topic", "metric": "auroc"}])
    drops = read_drops(Answers.of(pd.concat(tables)), results, "auroc")
    np.testing.assert_allclose(drops.datasets[0].drops, 0, atol=1e-12)


def test_drops_are_those_of_the_results(tables, drops):
    results = stated_once(tables["results"][tables["results"]["metric"] == "accuracy"])
    assert len(drops.cells) == 2 * 3 * 2 * 2 + 1  # magnitude once
    for one in drops.datasets:
        own = drops.cells.assign(drop=one.drops.mean(axis=1)).merge(results[results["dataset"] == one.name], on=CELL)
        assert len(own) == len(drops.cells)
        np.testing.assert_allclose(own["drop"], -own["difference"], atol=1e-12)


def test_errors_are_clustered_by_document(drops):
    one, weights = drops.datasets[0], np.eye(len(drops.cells))[0]
    pairs = one.drops[0].reshape(-1, 2).sum(1)  # two items of each document
    slow = np.sqrt(len(pairs) * pairs.var(ddof=1)) / ITEMS
    assert one.estimate(weights).error == pytest.approx(slow, rel=1e-9)


def test_the_ranking_finds_the_planted_order_and_says_what_is_tied(drops):
    table = calibration_ranking(drops, "reasoning")
    assert table["calibration"].iloc[0] == "good_set"
    assert set(table["calibration"]) == set(HARM)
    worse = table.iloc[1:]
    assert (worse["behind_low"] <= 0.1 * 0.9).all()  # the planted 10 points of items that were right
    assert (worse["behind_high"] >= 0.1 * 0.9).all()
    assert (worse["p_holm"] < 0.01).all()
    assert table["behind"].iloc[0] == 0
    assert table[["items", "datasets", "seeds"]].iloc[0].tolist() == [2 * ITEMS, 2, 2]

    sentiment = calibration_ranking(drops, "sentiment").set_index("calibration")
    assert sentiment.loc["sentiment_prompts", "behind"] == pytest.approx(0, abs=1e-9)  # as good as the best
    assert not sentiment.loc["sentiment_prompts", "p_holm"] < 0.05


def test_the_gap_and_the_spread_are_the_planted_ones(drops):
    table = calibration_spread(drops).set_index("target")
    means = np.array([0.0, 0.1, 0.1])
    assert table.loc["reasoning", "spread"] == pytest.approx(0.9 * means.std(ddof=1), rel=0.15)
    assert table.loc["reasoning", "gap_low"] < 0.09 < table.loc["reasoning", "gap_high"]
    assert list(table.index) == ["sentiment", "reasoning", "all"]


def test_shares_of_the_variance_are_those_of_the_planted_effects(drops):
    shares = variance_shares(drops)
    whole = shares[(shares["target"] == "reasoning") & shares["sparsity"].isna()]
    table = whole.set_index("factor")["share"]
    assert table.sum() == pytest.approx(1)
    planted = {"sparsity": 0.2**2 / 4, "method": 0.1**2 / 4, "calibration": np.array([0, 0.1, 0.1]).var()}
    for factor, variance in planted.items():
        assert table[factor] == pytest.approx(variance / sum(planted.values()), abs=0.05)
    assert table["draw"] == pytest.approx(0, abs=1e-9)  # the planted seeds are alike
    fixed = shares[(shares["target"] == "reasoning") & (shares["sparsity"] == 0.5)].set_index("factor")["share"]
    del planted["sparsity"]
    assert fixed["sparsity"] == pytest.approx(0, abs=1e-12)
    for factor, variance in planted.items():
        assert fixed[factor] == pytest.approx(variance / sum(planted.values()), abs=0.05)


def test_own_prompts_help_the_family_and_not_the_others(drops):
    table = task_likeness_effect(drops).set_index("on")
    assert set(table["family"]) == {"sentiment"}  # the only prompts in the study
    assert table.loc["family", "gain"] == pytest.approx(0.9 * 0.05, abs=0.02)  # 0 against the mean of 0 and 0.1
    assert table.loc["family", "low"] > 0
    assert table.loc["others", "high"] < 0


def test_recommends_the_planted_best_with_its_ties(drops):
    best = recommend(drops, "sentiment", sparsity=0.3)
    assert best.table[["method"]].iloc[0].item() == "wanda"
    assert set(best.table["calibration"].iloc[:2]) == {"good_set", "sentiment_prompts"}
    assert best.tied["calibration"].tolist() == [best.table["calibration"].iloc[1]]
    assert best.items == 2 * ITEMS
    every = recommend(drops, "all", sparsity=0.5)
    assert every.table["method"].iloc[-1] == "magnitude"
    assert len(every.table) == 7


def test_choices_of_few_draws_are_compared_with_their_quantile():
    keys = {"backbone": "b", "method": "wanda", "pattern": "unstructured", "sparsity": 0.5, "calibration_sequences": 8,
            "calibration_length": 64, "calibrated": True}  # fmt: skip
    cells = pd.DataFrame([keys | {"calibration": name, "seed": seed} for name in ("one", "two") for seed in (0, 1)])
    means = np.array([0.1, 0.3, 0.5, 0.7])  # the variance of a draw is .02, of a choice's mean .01
    items = np.tile(means[:, None], (1, 40)) + 1e-9 * np.random.default_rng(0).normal(size=40)
    drops = Drops(cells, (DatasetDrops("toy", "topic", items, np.arange(40)),), "accuracy")
    table = recommend(drops, "all", sparsity=0.5).table
    assert table["high"][0] - 0.2 == pytest.approx(4.3027 * 0.1, rel=1e-4)  # two degrees of freedom
    assert table["behind_high"][1] - 0.4 == pytest.approx(4.3027 * np.sqrt(0.02), rel=1e-4)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"target": "poetry"}, "target must be one of all, sentiment, reasoning, sst2"),
        ({"target": "all"}, r"sparsity must be one of the study's: 0\.3, 0\.5"),
        ({"target": "all", "sparsity": 0.4}, "one of the study's"),
        ({"target": "all", "sparsity": 0.5, "method": "owl"}, "one of the study's: wanda, ria, magnitude"),
    ],
)
def test_questions_that_the_study_cannot_answer_say_what_it_can(drops, settings, message):
    with pytest.raises(SettingError, match=message):
        recommend(drops, settings.pop("target"), **settings)


def test_other_items_than_the_dense_model_s_are_refused(tables):
    predictions = tables["predictions"]
    short = predictions[~((predictions["method"] == "wanda") & (predictions["item_id"] == "003"))]
    with pytest.raises(UnpairedPredictionsError):
        read_drops(Answers.of(short), tables["results"], "accuracy")
    with pytest.raises(SettingError, match="one of accuracy, auroc"):
        read_drops(Answers.of(predictions), tables["results"], "f1")


def test_a_data_set_that_a_model_was_not_measured_on_is_refused(tables):
    predictions = tables["predictions"]
    lost = predictions[~((predictions["method"] == "ria") & (predictions["dataset"] == "copa"))]
    with pytest.raises(UnpairedPredictionsError, match="'copa': 400 items have dense predictions only, 0 pruned only"):
        read_drops(Answers.of(lost), tables["results"], "accuracy")


def test_as_many_items_but_others_are_refused(tables):
    swapped = tables["predictions"].copy()
    swapped.loc[(swapped["method"] == "ria") & (swapped["item_id"] == "003"), "item_id"] = "900"
    with pytest.raises(UnpairedPredictionsError, match="1 items have dense predictions only, 1 pruned only"):
        read_drops(Answers.of(swapped), tables["results"], "accuracy")


def test_data_sets_without_answers_and_runs_of_several_backbones(tables):
    predictions = tables["predictions"]
    left = read_drops(Answers.of(predictions[predictions["dataset"] != "sst2"]), tables["results"], "accuracy")
    assert [one.name for one in left.datasets] == ["movies", "piqa", "copa"]
    both = pd.concat([predictions, predictions.assign(backbone="c")], ignore_index=True)
    with pytest.raises(SettingError, match="backbones"):
        read_drops(Answers.of(both), tables["results"], "accuracy")


def answers(tables):
    """The answers of the planted study."""
    return Answers.of(tables["predictions"])


def with_losses(tables, drops, noise):
    """Tables whose semantic loss is each model's true drop, or noise."""
    rng = np.random.default_rng(1)
    rows = []
    for place, cell in drops.cells.iterrows():
        for concept, family in (("a", "sentiment"), ("b", "reasoning")):
            true = drops.mean_drops(family)[place]
            value = rng.random() if noise else true
            rows.append(cell.to_dict() | {"concept": concept, "level": "token", "layer": -1, "sl": value, "xsl": value})
    own = {"sst2": "a", "movies": "a", "piqa": "b", "copa": "b"}
    task = [{"dataset": name, "concept": concept, "level": "token", "weight": 1.0} for name, concept in own.items()]
    return tables | {"semantic_loss": pd.DataFrame(rows), "task_concepts": pd.DataFrame(task)}


def test_a_loss_that_is_the_drop_predicts_it_and_noise_adds_nothing(tables, drops):
    told = prediction_table(predictor_table(drops, with_losses(tables, drops, noise=False), answers(tables)))
    noise = prediction_table(predictor_table(drops, with_losses(tables, drops, noise=True), answers(tables)))
    wanted = (told["model"] == "pruning + semantic loss") & (told["left_out"] == "calibration")
    row = told[wanted].iloc[0]
    assert row["r2"] > 0.93
    assert row["added_low"] > 0
    nothing = noise[wanted].iloc[0]
    assert nothing["added"] < row["added"]
    assert nothing["added_low"] <= 0
    assert set(told["left_out"]) == {"method", "calibration", "family", "dataset"}


def test_what_there_is_to_lose_is_measured_on_other_documents_than_what_was_lost(tables, drops):
    table = predictor_table(drops, tables, answers(tables))
    assert len(table) == 2 * len(drops.cells) * len(drops.datasets)
    asked = tables["predictions"]
    asked = asked[asked["dataset"] == "piqa"].assign(half=lambda rows: rows["document_id"].astype(int) % 2)
    right = (asked["prediction"] == asked["label"]).groupby([asked["method"], asked["half"]]).mean()
    labels = asked[asked["method"] == "dense"].groupby("half")["label"].mean()
    for half in (0, 1):
        own = table[(table["dataset"] == "piqa") & (table["method"] == "magnitude") & (table["half"] == half)].iloc[0]
        assert own["drop"] == pytest.approx(right["dense", half] - right["magnitude", half])
        guessing = max(labels[1 - half], 1 - labels[1 - half])
        assert own["headroom"] == pytest.approx(right["dense", 1 - half] - guessing)


def test_a_lucky_dense_score_does_not_predict_its_own_fall():
    slopes = []
    for seed in range(6):
        rng, names = np.random.default_rng(seed), [str(item) for item in range(100)]
        keys = {"backbone": "b", "pattern": "unstructured", "calibration": "", "calibration_sequences": 0, "seed": 0,
                "calibration_length": 0, "calibrated": False, "prompt": "p", "item_id": names, "document_id": names,
                "label": 0}  # fmt: skip
        parts, rows = [], []
        for dataset in map(str, range(12)):  # alike: what differs between them is the luck of their items
            for method, share in (("dense", 0.8), ("wanda", 0.6)):
                wrong = (rng.random(100) > share).astype(int)
                scores = np.stack([-wrong, wrong - 1.0], axis=1).tolist()
                own = {"dataset": dataset, "method": method, "sparsity": 0.5 * (method != "dense"), "scores": scores}
                parts.append(pd.DataFrame(keys | own | {"prediction": wrong, "label": 0}))
            rows.append({"dataset": dataset, "family": "topic", "metric": "accuracy", "method": "dense", "value": 0.8})
        found = pd.concat(parts, ignore_index=True)
        found.loc[found["item_id"].astype(int) % 4 < 2, "label"] = 1  # half of the labels, in both halves
        found["prediction"] = np.where(found["label"] == 1, 1 - found["prediction"], found["prediction"])
        results = pd.DataFrame(rows)
        own = read_drops(Answers.of(found), results, "accuracy")
        table = _crossed(own, results, Answers.of(found))
        slopes.append(np.corrcoef(table["headroom"], table["drop"])[0, 1])
    assert abs(np.mean(slopes)) < 0.25  # of the same items it is above 0.6


def test_rank_correlations_of_a_loss_that_is_the_drop(tables, drops):
    table = spearman_table(
        predictor_table(drops, with_losses(tables, drops, noise=False), answers(tables)), resamples=50
    )
    own = table[(table["predictor"] == "sl") & (table["family"] == "reasoning")].iloc[0]
    assert own["spearman"] > 0.98
    assert own["low"] <= own["spearman"] <= own["high"] + 1e-9
    assert own["cells"] == len(drops.cells)
    assert set(table["kind"]) == {"pruning", "semantic loss"}  # no calibration measures in this run


def test_a_row_without_a_predictor_counts_as_its_mean_and_too_few_models_give_no_table(tables, drops):
    table = predictor_table(drops, tables, answers(tables))
    table["minilm_cosine"] = np.where(table["calibrated"], 1.0, np.nan)
    assert np.isfinite(prediction_table(table)["r2"]).all()
    few = table[table["method"] == "magnitude"]
    assert prediction_table(few).empty


def test_an_estimate_of_no_error_has_no_p():
    assert np.isnan(Estimate(1.0, 0.0).p)
    low, high = Estimate(0.0, 1.0).interval
    assert (low, high) == pytest.approx((-1.96, 1.96), abs=1e-3)


def test_few_documents_have_the_quantiles_of_t():
    few = Estimate(2.0, 1.0, 4)
    assert few.interval == pytest.approx((2 - 2.776445, 2 + 2.776445), abs=1e-6)
    assert few.p == pytest.approx(0.116117, abs=1e-6)


def test_tied_sets_share_what_is_measured_on_the_other_half():
    chosen = np.array([[[0.0, 0.0, 2.0], [0.0, 0.0, 2.0]]] * 2)  # [halves, seeds, calibrations]
    chosen[1, :, :] = [1.0, 3.0, 2.0]
    # half 0 chooses: worst the third, best the first two; half 1 measures 2 - 2. Half 1 chooses: worst the second,
    # best the first; half 0 measures 0 - 0.
    assert _gap(chosen) == pytest.approx(0.0)
    assert _gap(np.array([[[0.0, 1.0]] * 2] * 2)) == pytest.approx(1.0)


def planted_luck(rng, documents=60, sets=8, seeds=2, draw=0.1):
    """Sets that are alike but for the items and the draws."""
    cells = pd.DataFrame([(f"set{c}", s) for c in range(sets) for s in range(seeds)], columns=["calibration", "seed"])
    items = np.repeat(rng.normal(0, 0.5, (sets, documents)), seeds, 0) + rng.normal(0, 0.7, (len(cells), documents))
    drops = items + rng.normal(0, draw, (len(cells), 1))
    one = DatasetDrops("toy", "topic", drops, np.arange(documents))
    return Drops(cells, (one,), "accuracy")


@pytest.mark.slow
def test_the_gap_of_sets_that_are_alike_is_clear_in_one_of_twenty():
    found = [crossed_gap(planted_luck(np.random.default_rng(seed)), "all")[2] for seed in range(2000)]
    assert 0.04 < np.mean(np.array(found) < 0.05) < 0.06


@pytest.mark.slow
def test_choices_that_are_alike_differ_clearly_in_one_of_twenty():
    rng, rejected = np.random.default_rng(7), 0
    keys = {"backbone": "b", "method": "wanda", "pattern": "unstructured", "sparsity": 0.5, "calibration_sequences": 8,
            "calibration_length": 64, "calibrated": True}  # fmt: skip
    cells = pd.DataFrame([keys | {"calibration": name, "seed": seed} for name in ("one", "two") for seed in (0, 1, 2)])
    for _ in range(1000):
        items = rng.normal(size=(1, 60)) + 0.5 * rng.normal(size=(6, 60)) + 0.4 * rng.normal(size=(6, 1))
        drops = Drops(cells, (DatasetDrops("toy", "topic", items, np.arange(60)),), "accuracy")
        rejected += recommend(drops, "all", sparsity=0.5).table["p_holm"][1] < 0.05
    assert 0.04 <= rejected / 1000 <= 0.06  # with the normal's quantile it is above a tenth


def test_the_interval_of_the_gap_and_its_p_are_of_one_quantity():
    for seed in range(6):
        gap, margin, p = crossed_gap(planted_luck(np.random.default_rng(seed), draw=0.4), "all")
        assert (p < 0.049) <= (abs(gap) > margin)
        assert (abs(gap) > margin) <= (p < 0.051)


def test_the_ridge_of_many_penalties_is_that_of_each():
    rng = np.random.default_rng(0)
    features, drop, seen = rng.normal(size=(30, 4)), rng.normal(size=30), np.arange(30) < 20
    found = _fitted(features, drop, seen, PENALTIES)
    own, mean = features[seen] - features[seen].mean(0), drop[seen].mean()
    for k, penalty in enumerate(PENALTIES):
        slope = np.linalg.solve(own.T @ own + penalty * np.eye(4), own.T @ (drop[seen] - mean))
        np.testing.assert_allclose(found[:, k], mean + (features - features[seen].mean(0)) @ slope, atol=1e-9)


def test_the_penalty_is_chosen_on_whole_groups():
    """A feature that marks groups says nothing of a new one: chosen by rows it is believed, by groups it is not."""
    rng = np.random.default_rng(0)
    groups, rows = np.repeat(np.arange(12), 20), np.arange(240)
    features, level = rng.normal(size=(12, 8))[groups], rng.normal(size=12)[groups]
    drop, seen = level + rng.normal(0, 0.1, 240), groups != 11
    by_group = _ridge(features, drop, groups, rows, seen)
    by_row = _ridge(features, drop, rows, rows, seen)
    assert np.std(by_group[seen]) < 0.5 * np.std(by_row[seen])
