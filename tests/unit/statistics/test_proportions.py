import numpy as np
import pytest
from scipy.optimize import brentq, minimize_scalar
from scipy.stats import binomtest, norm

from semprune.statistics.proportions import effective_items, paired_difference_interval, share_interval, tango

Z = float(norm.ppf(0.975))


def score(difference, gained, lost, n):
    """Tango's statistic, its free share found by maximising the likelihood instead of solving for it."""

    def loss(share):
        shares = np.array([share + difference, share, 1 - 2 * share - difference])
        return -float(np.array([gained, lost, n - gained - lost]) @ np.log(np.maximum(shares, 1e-300)))

    bounds = (max(0.0, -difference) + 1e-12, (1 - difference) / 2 - 1e-12)
    share = minimize_scalar(loss, bounds=bounds, method="bounded", options={"xatol": 1e-12}).x
    return (gained - lost - n * difference) / np.sqrt(n * (2 * share + difference * (1 - difference)))


@pytest.mark.parametrize("counts", [(1, 2, 14), (0, 0, 20), (5, 0, 30), (12, 3, 50), (0, 7, 25), (21.5, 9.2, 80.1)])
def test_tango_inverts_the_score_test(counts):
    middle = (counts[0] - counts[1]) / counts[2]
    low = brentq(lambda end: score(end, *counts) - Z, -1 + 1e-9, middle)
    high = brentq(lambda end: score(end, *counts) + Z, middle, 1 - 1e-9)
    assert tango(*counts) == pytest.approx((low, high), abs=1e-6)


def test_ends_stay_in_range():
    assert tango(6, 0, 6).high == 1.0
    assert tango(0, 6, 6).low == -1.0


@pytest.mark.parametrize("right", [0, 3, 20])
def test_share_interval_is_wilsons(right):
    answers = np.arange(20) < right
    expected = binomtest(right, 20).proportion_ci(method="wilson")
    assert share_interval(answers, [str(item) for item in range(20)]) == pytest.approx(tuple(expected), abs=1e-12)


def test_copies_of_items_are_no_evidence():
    random = np.random.default_rng(0)
    before, after = random.random(50) < 0.7, random.random(50) < 0.6
    documents = [str(item) for item in range(50)]
    once = paired_difference_interval(before, after, documents)
    thrice = paired_difference_interval(before.repeat(3), after.repeat(3), list(np.repeat(documents, 3)))
    assert thrice == pytest.approx(once, abs=0.002)  # but for D / (D − 1)
    assert effective_items(np.zeros(6), ["a", "a", "b", "b", "c", "c"]) == 3


@pytest.mark.parametrize("grouped", [False, True], ids=["single", "documents"])
def test_interval_covers_what_it_says(grouped):
    random = np.random.default_rng(1)
    documents = [str(item // 3 if grouped else item) for item in range(90)]
    missed = 0
    for _ in range(1000):
        shift = np.repeat(random.normal(size=30), 3) if grouped else 0
        before, after = (random.normal(size=90) + shift < 0.3 for _ in range(2))
        low, high = paired_difference_interval(before, after, documents)
        missed += not low <= 0 <= high
    assert 25 <= missed <= 70


def test_nothing_without_items():
    assert np.isnan(share_interval(np.zeros(0, bool), [])).all()
    assert np.isnan(paired_difference_interval(np.zeros(0, bool), np.zeros(0, bool), [])).all()
