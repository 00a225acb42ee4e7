import numpy as np
import pytest
from scipy.stats import ttest_1samp

from semprune.statistics.auroc import auroc_values
from semprune.statistics.intervals import clustered_error, mean_test


def test_mean_test_of_single_items_is_students():
    values = np.random.default_rng(0).normal(0.3, 1, 25)
    interval, p = mean_test(values, [str(item) for item in range(25)])
    expected = ttest_1samp(values, 0)
    assert p == pytest.approx(expected.pvalue)
    assert interval == pytest.approx(tuple(expected.confidence_interval()))


def test_items_of_a_document_are_one_observation_if_they_agree():
    values = np.random.default_rng(0).normal(0.3, 1, 12)
    alone = clustered_error(values, [str(item) for item in range(12)])
    assert clustered_error(values.repeat(4), [str(item) for item in np.arange(12).repeat(4)]) == pytest.approx(alone)


def test_a_single_document_tells_nothing():
    interval, p = mean_test(np.array([1.0, 2.0]), ["a", "a"])
    assert np.isnan([*interval, p]).all()
    assert mean_test(np.zeros(3), list("abc")) == ((0.0, 0.0), 1.0)


@pytest.mark.slow
@pytest.mark.parametrize("choices", [2, 4])
def test_delong_rejects_five_per_cent_under_the_null(choices):
    random = np.random.default_rng(0)
    labels = np.arange(120) % choices
    documents = [str(item) for item in range(120)]
    rejected = 0
    for _ in range(2000):
        knows = np.eye(choices)[labels] * 0.8 + random.normal(size=(120, choices))
        one, other = (auroc_values(knows + random.normal(size=knows.shape), labels) for _ in range(2))
        rejected += mean_test(one - other, documents)[1] < 0.05
    assert 0.04 <= rejected / 2000 <= 0.06
