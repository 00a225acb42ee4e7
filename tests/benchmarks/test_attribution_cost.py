"""The pure parts of the cost benchmark: ratios of pairs, the closed form beside classifiers on planted activations."""

import numpy as np
import pytest
from benchmarks.attribution_cost import encode_fit, precision, ratio, sklearn_fit, surest


@pytest.fixture
def planted():
    random = np.random.default_rng(0)
    labels = (random.random((400, 2)) < 0.3).astype(np.float64)
    values = random.normal(size=(400, 64))
    values[:, 5] += 3 * labels[:, 0]
    values[:, 9] -= 3 * labels[:, 1]
    return values.astype(np.float32), labels


def test_all_fits_find_the_planted_neurons_with_their_signs(planted):
    values, labels = planted
    for weights in (encode_fit(values, labels), sklearn_fit("LogisticRegression", values, labels, C=0.01)):
        assert np.abs(weights).argmax(0).tolist() == [5, 9]
        assert weights[5, 0] > 0 > weights[9, 1]
        assert precision(values, labels, surest(weights, 1)) > 0.9


def test_the_closed_form_keeps_as_many_neurons_as_are_read(planted):
    assert (encode_fit(*planted) != 0).sum(0).tolist() == [32, 32]


def test_ratios_are_of_pairs():
    assert ratio([(2.0, 1.0), (3.0, 1.0), (9.0, 3.0)]) == "3.00 (2.00 to 3.00)"
