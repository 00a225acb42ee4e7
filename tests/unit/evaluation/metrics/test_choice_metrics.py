"""Metrics against scikit-learn and hand-computed values; weights against repeated items."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import log_softmax
from scipy.stats import spearmanr
from sklearn.metrics import accuracy_score, f1_score, roc_auc_score

from semprune.errors import MetricUndefinedError, UnknownMetricError
from semprune.evaluation.metrics import METRICS, ChoiceScores, measure
from semprune.evaluation.metrics.accuracy import acc_norm, accuracy, chosen
from semprune.evaluation.metrics.calibration import calibrated_accuracy, expected_calibration_error
from semprune.evaluation.metrics.confusion import f1, macro_f1
from semprune.evaluation.metrics.correlation import spearman
from semprune.statistics.auroc import auroc


def toy(items=60, choices=3, seed=0, ties=False):
    random = np.random.default_rng(seed)
    labels = random.integers(0, choices, items)
    scores = random.normal(-4, 1, (items, choices))
    scores[np.arange(items), labels] += 0.8
    scores = scores.round(0) if ties else scores
    lengths = random.integers(1, 9, (items, choices)).astype(float)
    return ChoiceScores(scores, labels, lengths, (scores[:, 1] + random.normal(size=items)).round(1 - ties))


@pytest.mark.parametrize("choices", [2, 3, 5])
@pytest.mark.parametrize("ties", [False, True])
def test_accuracy_and_f1_equal_sklearn(choices, ties):
    items = toy(choices=choices, ties=ties)
    predicted = chosen(items.scores)
    assert accuracy(items.scores, items.labels) == pytest.approx(accuracy_score(items.labels, predicted))
    assert macro_f1(items.scores, items.labels) == pytest.approx(f1_score(items.labels, predicted, average="macro"))
    only_positive = f1_score(items.labels == 1, predicted == 1)
    assert f1(items.scores, items.labels) == pytest.approx(only_positive)


@pytest.mark.parametrize("ties", [False, True])
def test_binary_auroc_equals_sklearn(ties):
    items = toy(choices=2, ties=ties)
    expected = roc_auc_score(items.labels, items.scores[:, 1] - items.scores[:, 0])
    assert auroc(items.scores, items.labels) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("ties", [False, True])
def test_spearman_equals_scipy(ties):
    items = toy(choices=2, ties=ties)
    expected = spearmanr(items.scores[:, 1] - items.scores[:, 0], items.grades).statistic
    assert 0.1 < expected < 0.95
    assert spearman(items.scores, items.grades) == pytest.approx(expected, abs=1e-12)
    shifted = items.scores + np.array([50.0, 0.0])  # another label prior
    assert spearman(shifted, items.grades) == pytest.approx(expected, abs=1e-9)


def test_spearman_needs_grades_and_differences():
    items = toy(choices=2)
    assert np.isnan(spearman(items.scores, np.ones(60)))
    for grades in (None, np.full(60, np.nan)):
        with pytest.raises(MetricUndefinedError, match="spearman"):
            measure("spearman", items._replace(grades=grades))


def test_first_of_equal_choices_wins():
    scores = np.array([[-1.0, -1.0, -2.0], [-3.0, -1.0, -1.0]])
    assert chosen(scores).tolist() == [0, 1]


def test_a_shifted_label_prior_moves_accuracy_but_neither_auroc_nor_calibrated_accuracy():
    items = toy(choices=2, items=100)
    shifted = items.scores + np.array([50.0, 0.0])
    assert accuracy(shifted, items.labels) == np.mean(items.labels == 0)
    assert auroc(shifted, items.labels) == pytest.approx(auroc(items.scores, items.labels))
    before = calibrated_accuracy(items.scores, items.labels)
    assert calibrated_accuracy(shifted, items.labels) == before
    assert before > 0.6


def test_calibrated_accuracy_by_hand_and_from_log_softmax():
    scores = np.array([[-1.0, -2.0], [-1.0, -4.0], [-1.0, -6.0]])  # label means -1 and -4
    labels = np.array([1, 0, 0])
    assert accuracy(scores, labels) == pytest.approx(2 / 3)
    assert calibrated_accuracy(scores, labels) == 1.0  # item 0: 0 < 2, item 1: a tie, first wins
    items = toy(choices=4)
    normalised = log_softmax(items.scores, axis=1)
    assert calibrated_accuracy(items.scores, items.labels) == calibrated_accuracy(normalised, items.labels)


def test_acc_norm_divides_by_characters():
    scores, lengths = np.array([[-4.0, -6.0], [-1.0, -9.0]]), np.array([[2, 6], [1, 3]])
    assert acc_norm(scores, np.array([1, 1]), lengths=lengths) == 0.5  # -2 < -1, -1 > -3
    assert accuracy(scores, np.array([1, 1])) == 0.0


def test_expected_calibration_error_by_hand():
    probabilities = np.array([[0.95, 0.05], [0.95, 0.05], [0.65, 0.35], [0.35, 0.65]])
    labels = np.array([0, 1, 0, 1])
    expected = 0.5 * abs(0.5 - 0.95) + 0.5 * abs(1.0 - 0.65)
    assert expected_calibration_error(np.log(probabilities), labels) == pytest.approx(expected)


@pytest.mark.parametrize("name", sorted(METRICS))
@settings(deadline=None)
@given(seed=st.integers(0, 10_000))
def test_a_weight_of_k_is_the_item_k_times(name, seed):
    items = toy(items=24, choices=3, seed=seed, ties=seed % 2 == 0)
    times = np.random.default_rng(seed).integers(0, 4, (3, 24))
    times[:, 0] += 1  # never an empty resample
    together = measure(name, items, times.astype(float))
    for row, value in zip(times, together, strict=True):
        again = np.repeat(np.arange(24), row)
        repeated = measure(name, ChoiceScores(*(values[again] for values in items)))
        assert value == pytest.approx(float(repeated), abs=1e-12, nan_ok=True)


def test_choices_of_different_number_count_for_accuracy_only():
    ragged = ChoiceScores(np.array([[-1.0, -2.0, -np.inf], [-3.0, -2.0, -1.0]]), np.array([0, 1]), np.ones((2, 3)))
    assert measure("accuracy", ragged) == 0.5
    assert measure("expected_calibration_error", ragged) >= 0
    for name in ("auroc", "calibrated_accuracy", "macro_f1"):
        with pytest.raises(MetricUndefinedError, match=name):
            measure(name, ragged)


def test_unknown_metric_names_the_nearest():
    with pytest.raises(UnknownMetricError, match="did you mean 'accuracy'"):
        measure("acuracy", toy())
