import numpy as np
import pytest

from semprune.statistics.intervals import difference_with_interval
from semprune.statistics.skill import PairedSkill, d_prime, guessing_accuracy, recovered_share, retained_skill


def toy(random, skill, kept, items=200):
    """Values of items of a data set on which a share of the dense skill is kept; both models share their noise."""
    noise = random.normal(0, 0.3, items)
    dense = 0.5 + skill + noise + random.normal(0, 0.1, items)
    pruned = 0.5 + skill * kept + noise + random.normal(0, 0.1, items)
    return PairedSkill(dense, pruned, 0.5, [str(item) for item in range(items)])


def test_equal_shares_of_unequal_skills_are_equal():
    random = np.random.default_rng(0)
    low, high = (retained_skill([toy(random, skill, 0.6, items=200_000)]) for skill in (0.1, 0.4))
    assert low[0] == pytest.approx(0.6, abs=0.01)
    assert high[0] == pytest.approx(0.6, abs=0.01)


def test_pooled_share_weighs_data_sets_by_skill():
    one = PairedSkill(np.array([0.9, 0.9]), np.array([0.7, 0.7]), 0.5, ["a", "b"])
    other = PairedSkill(np.array([0.6, 0.6]), np.array([0.6, 0.6]), 0.5, ["a", "b"])
    assert retained_skill([one, other])[0] == pytest.approx((0.2 + 0.1) / (0.4 + 0.1))


def test_interval_covers_what_it_says():
    random = np.random.default_rng(1)
    missed = 0
    for _ in range(1000):
        _, low, high = retained_skill([toy(random, 0.1, 0.5, 60), toy(random, 0.3, 0.5, 40)])
        missed += not low <= 0.5 <= high
    assert 30 <= missed <= 70


def test_fieller_equals_its_definition():
    one = toy(np.random.default_rng(2), 0.2, 0.5, 50)
    _, *ends = retained_skill([one])
    for end in ends:  # where the t statistic of pruned − end · dense is the quantile
        apart = (one.pruned - 0.5) - end * (one.dense - 0.5)
        statistic = apart.mean() / (apart.std(ddof=1) / np.sqrt(50))
        assert abs(statistic) == pytest.approx(2.0096, abs=1e-3)


def test_no_skill_has_no_share():
    random = np.random.default_rng(3)
    assert np.isnan(retained_skill([])).all()
    assert np.isnan(retained_skill([toy(random, -0.3, 1.0)])).all()
    unclear = PairedSkill(np.array([1.0, 0.2, 0.9, 0.1]), np.array([0.5, 0.5, 0.6, 0.4]), 0.5, list("abcd"))
    share, low, high = retained_skill([unclear])
    assert share == pytest.approx(0.0, abs=1e-12)
    assert np.isnan([low, high]).all()


def test_guessing_by_chance_or_by_the_frequent_label():
    assert guessing_accuracy(np.array([0, 1, 2, 3]), np.array([4, 4, 4, 2])) == pytest.approx(0.3125)
    assert d_prime(1.0) == np.inf


@pytest.mark.slow
def test_families_of_equal_lost_share_and_unequal_skill_differ_in_five_per_cent():
    random = np.random.default_rng(4)
    rejected = 0
    for _ in range(2000):
        little, much = ([toy(random, skill, 0.6, 150), toy(random, skill, 0.6, 100)] for skill in (0.15, 0.4))
        _, low, high = difference_with_interval(retained_skill(little), retained_skill(much))
        rejected += not low <= 0 <= high
    assert 0.04 <= rejected / 2000 <= 0.06


def test_a_patch_of_one_draw_is_the_share_of_a_skill_that_starts_at_the_receiver():
    random = np.random.default_rng(0)
    receiver, donor, patched = random.normal([[0.5], [0.9], [0.8]], 0.3, (3, 40))
    documents = [str(k // 2) for k in range(40)]
    expected = retained_skill([PairedSkill(donor - receiver, patched - receiver, 0.0, documents)])
    assert recovered_share(patched[None], receiver, donor, documents) == pytest.approx(expected)
    backwards = recovered_share(patched[None], donor, receiver, documents)
    assert backwards[0] == pytest.approx(1 - expected[0])


def test_the_interval_of_a_control_holds_over_items_and_draws():
    """Both are drawn anew in every simulation: the interval covers what all items and all draws would give."""
    random, covered, runs = np.random.default_rng(1), 0, 400
    for _ in range(runs):
        receiver = random.normal(0.6, 0.3, 60)
        donor = receiver + random.normal(0.4, 0.3, 60)
        draws = random.normal(0.1, 0.08, (4, 1))  # of each draw's effect on the mean, .1 over all draws
        patched = receiver + draws + random.normal(0, 0.2, (4, 60))
        _, low, high = recovered_share(patched, receiver, donor, [str(k) for k in range(60)])
        covered += low <= 0.25 <= high
    assert 0.93 <= covered / runs <= 0.995
