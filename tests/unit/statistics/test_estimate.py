"""Errors by the jackknife and over draws, against closed forms."""

import numpy as np
import pytest

from semprune.statistics.auroc import auroc, auroc_values
from semprune.statistics.estimate import Estimate, beyond_draws, jackknifed, of_draws
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


def test_the_interval_beyond_draws_is_the_wider_one():
    few = beyond_draws(Estimate(0.0, 1e-9, 99), [1.0, 3.0, 5.0])
    assert few.error == pytest.approx(np.sqrt(4 * (1 + 1 / 3)))
    assert few.interval[1] == pytest.approx(4.3027 * few.error, rel=1e-4)  # two degrees of freedom
    of_items = Estimate(0.0, 20.0, 99)
    assert beyond_draws(of_items, [1.0, 3.0, 5.0]) == of_items
    assert np.isnan([*beyond_draws(of_items, [1.0]).interval, beyond_draws(of_items, [1.0]).p]).all()


@pytest.mark.slow
@pytest.mark.parametrize(("of_sets", "of_items", "least"), [(0.2, 0.3, 0.04), (0.1, 1.0, 0.03), (0.0, 1.0, 0.0)])
def test_a_set_that_is_but_another_draw_is_found_special_in_one_of_twenty(of_sets, of_items, least):
    rng, names, rejected = np.random.default_rng(5), [str(item) for item in range(80)], 0
    for _ in range(2000):
        shift = rng.normal(size=80) + of_sets * rng.normal(size=(11, 1))
        chosen, *draws = shift + of_items * rng.normal(size=(11, 80))
        difference = chosen - np.mean(draws, axis=0)
        excess = jackknifed(lambda weights, own=difference: weights @ own / weights.sum(-1), names)
        rejected += beyond_draws(excess, [float(draw.mean()) for draw in draws]).p < 0.05
    assert least <= rejected / 2000 <= 0.06  # without any effect of sets it is on the safe side
