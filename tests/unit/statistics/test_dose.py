"""Losses at equal cost, against NumPy's own interpolation and against curves worked out by hand."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from semprune.statistics.dose import at_dose

STEPS = st.lists(st.tuples(st.floats(1e-3, 1), st.floats(-1, 1)), min_size=1, max_size=6)


@given(STEPS, st.floats(1e-3, 3))
def test_where_the_cost_only_grows_it_is_linear_interpolation(steps, dose):
    cost, value = np.cumsum([step for step, _ in steps]), np.array([height for _, height in steps])
    found = float(at_dose(cost, value, dose))
    if dose > cost[-1]:
        assert np.isnan(found)
    else:
        expected = np.interp(dose, [0, *cost], [0, *value])
        assert abs(found - expected) < 1e-9


def test_a_cost_that_falls_counts_where_it_first_reaches_the_dose():
    cost = np.array([[-0.01, 0.04, 0.01, 0.08], [0.1, 0.2, 0.3, 0.4], [0.0, 0.0, 0.0, 0.0]])
    value = np.array([[0.0, 0.5, 0.9, 1.0], [0.3, 0.0, 0.0, 0.0], [1.0, 1.0, 1.0, 1.0]])
    found = at_dose(cost, value, 0.02)
    np.testing.assert_allclose(found, [0.3, 0.06, np.nan])


def test_intervals_of_extended_resamples_hold_the_truth():
    """Of a loss at a dose that the true curve only just reaches: without what lies beyond, the upper end is too low."""
    random, held = np.random.default_rng(0), []
    for _ in range(400):
        cost, gained = 0.105 + 0.01 * random.standard_normal(), 0.3 + 0.02 * random.standard_normal()
        if cost < 0.1:
            continue  # not reached: nothing is said
        drawn = cost + 0.01 * random.standard_normal((500, 1)), gained + 0.02 * random.standard_normal((500, 1))
        low, high = np.nanpercentile(at_dose(*drawn, 0.1, extended=True), [2.5, 97.5])
        held.append(low <= 0.1 * 0.3 / 0.105 <= high)
    assert np.mean(held) > 0.92
