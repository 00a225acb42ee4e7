"""Errors by the jackknife and over draws, against closed forms."""

import numpy as np
import pytest

from semprune.statistics.auroc import auroc, auroc_values
from semprune.statistics.estimate import Estimate, jackknifed, of_draws
from semprune.statistics.intervals import clustered_error

DOCUMENTS = [str(item // 2) for item in range(120)]


def test_the_jackknife_of_a_mean_is_its_clustered_error():
    values = np.random.default_rng(0).normal(size=120)
    found = jackknifed(lambda weights: weights @ values / weights.sum(-1), DOCUMENTS)
    assert found.value == pytest.approx(values.mean())
    assert (found.error, found.freedom) == pytest.approx(clustered_error(values, DOCUMENTS))


@pytest.mark.parametrize("choices", [2, 3])
def test_the_jackknife_of_an_auroc_is_delongs_error(choices):
    rng = np.random.default_rng(1)
    labels = np.arange(120) % choices
    scores = rng.normal(size=(120, choices)) + np.eye(choices)[labels]
    names = [str(item) for item in range(120)]
    found = jackknifed(lambda weights: auroc(scores, labels, weights), names)
    delong = clustered_error(auroc_values(scores, labels), names)[0]
    assert found.error == pytest.approx(delong, rel=1.5 * choices / 120)


def test_documents_are_left_out_in_blocks(monkeypatch):
    values = np.random.default_rng(2).normal(size=120)
    whole = jackknifed(lambda weights: weights @ values, DOCUMENTS)
    monkeypatch.setattr("semprune.statistics.estimate.BLOCK", 500)
    assert jackknifed(lambda weights: weights @ values, DOCUMENTS) == whole


def test_what_cannot_be_known_has_no_interval():
    assert np.isnan(jackknifed(lambda weights: weights.sum(-1), ["a", "a"]).error)
    assert np.isnan(Estimate(1.0, 0.5, 9).wider(*of_draws([2.0])).interval).all()
    assert np.isnan(Estimate(1.0, 0.5, 9).wider(*of_draws([2.0])).p)


def test_a_wide_spread_of_few_draws_takes_their_quantile():
    found = Estimate(0.0, 1e-9, 99).wider(*of_draws([1.0, 3.0, 5.0], another=True))
    assert found.error == pytest.approx(np.sqrt(4 * (1 + 1 / 3)))
    assert found.interval[1] == pytest.approx(4.3027 * found.error, rel=1e-4)  # two degrees of freedom
