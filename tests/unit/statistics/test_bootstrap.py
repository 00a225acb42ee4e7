"""Intervals and tests against closed forms and scipy."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest, norm

from semprune.statistics.bootstrap import bootstrap, bootstrap_p, document_resamples, percentile_interval
from semprune.statistics.significance import mcnemar


def mean_of(values):
    return lambda weights: weights @ values / weights.sum(axis=-1)


def test_bootstrap_of_a_mean_has_the_closed_form_interval():
    values = np.random.default_rng(1).normal(3.0, 2.0, 400)
    draws = bootstrap(mean_of(values), [str(i) for i in range(400)], resamples=8000, seed=0)
    half = norm.ppf(0.975) * values.std() / np.sqrt(400)
    low, high = percentile_interval(draws)
    assert low == pytest.approx(values.mean() - half, abs=0.01)
    assert high == pytest.approx(values.mean() + half, abs=0.01)


def test_intervals_cover_the_truth_about_as_often_as_they_say():
    random = np.random.default_rng(2)
    covered = 0
    for trial in range(300):
        right = (random.random(100) < 0.7).astype(float)
        low, high = percentile_interval(
            bootstrap(mean_of(right), [str(i) for i in range(100)], resamples=400, seed=trial)
        )
        covered += low <= 0.7 <= high
    assert 0.90 <= covered / 300 <= 0.98


def test_items_of_a_document_are_drawn_together():
    documents = ["a"] * 10 + ["b"] * 10 + ["c"] * 10
    values = np.repeat([0.0, 1.0, 2.0], 10)
    draws = bootstrap(mean_of(values), documents, resamples=4000, seed=0)
    # three documents drawn with replacement: variance of their mean is (2/3)/3, not (2/3)/30
    assert draws.var() == pytest.approx(2 / 9, rel=0.08)
    [weights] = document_resamples(documents, 5, seed=3)
    assert (weights.sum(axis=1) == 30).all()
    assert (weights[:, :10] == weights[:, :1]).all()


def test_draws_do_not_depend_on_the_size_of_blocks(monkeypatch):
    documents = [str(i) for i in range(50)]
    whole = np.concatenate(list(document_resamples(documents, 40, seed=5)))
    monkeypatch.setattr("semprune.statistics.bootstrap.BLOCK", 150)
    blocks = list(document_resamples(documents, 40, seed=5))
    assert len(blocks) == 14
    assert np.array_equal(np.concatenate(blocks), whole)


def test_undefined_resamples_are_left_out_unless_they_are_most():
    values = np.r_[np.arange(100.0), np.full(20, np.nan)]
    assert percentile_interval(values) == percentile_interval(values[:100])
    assert np.isnan(percentile_interval(np.r_[1.0, np.nan, np.nan]).low)
    assert np.isnan(bootstrap_p(np.full(9, np.nan)))


def test_paired_bootstrap_p_known_answers():
    assert bootstrap_p(np.full(999, -0.1)) == pytest.approx(2 / 1000)
    assert bootstrap_p(np.zeros(999)) == 1.0
    assert bootstrap_p(np.r_[np.full(49, 0.1), np.full(950, -0.1)]) == pytest.approx(0.1)


def test_paired_bootstrap_p_is_uniform_without_a_difference():
    random = np.random.default_rng(0)
    p = []
    for trial in range(200):
        difference = random.normal(0, 1, 80)
        p.append(bootstrap_p(bootstrap(mean_of(difference), [str(i) for i in range(80)], resamples=300, seed=trial)))
    assert 0.01 <= np.mean(np.array(p) < 0.05) <= 0.11
    assert np.mean(p) == pytest.approx(0.5, abs=0.07)


@given(st.integers(0, 40), st.integers(0, 40), st.integers(0, 5))
def test_mcnemar_equals_the_binomial_test(broken, fixed, same):
    dense = np.r_[np.ones(broken, bool), np.zeros(fixed, bool), np.ones(same, bool)]
    pruned = np.r_[np.zeros(broken, bool), np.ones(fixed, bool), np.ones(same, bool)]
    expected = binomtest(broken, broken + fixed, 0.5).pvalue if broken + fixed else 1.0
    assert mcnemar(dense, pruned) == pytest.approx(expected)
    assert mcnemar(pruned, dense) == pytest.approx(expected)


def test_mcnemar_by_document_counts_documents_not_items():
    dense, pruned = np.ones(12, bool), np.zeros(12, bool)
    documents = np.repeat(["a", "b", "c"], 4).tolist()
    assert mcnemar(dense, pruned, documents) == pytest.approx(2 * 0.5**3)  # all three signs agree
    assert mcnemar(dense, pruned) == pytest.approx(2 * 0.5**12)
    # documents of net flips 3 and -1: sums ±4 and ±2, |2| or more always
    assert mcnemar(np.array([1, 1, 1, 0], bool), np.array([0, 0, 0, 1], bool), ["a", "a", "a", "b"]) == 1.0
