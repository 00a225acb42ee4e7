"""Corrections against values worked out by hand."""

import numpy as np
import pytest

from semprune.statistics.significance import holm


def test_holm_by_hand_with_gaps():
    corrected = holm(np.array([0.04, np.nan, 0.001, 0.02, 0.5]))
    assert corrected[[0, 2, 3, 4]] == pytest.approx([0.08, 0.004, 0.06, 0.5])
    assert np.isnan(corrected[1])


def test_holm_keeps_the_order_and_stays_within_one():
    assert holm([0.01, 0.04, 0.03, np.nan, 0.005]) == pytest.approx([0.03, 0.06, 0.06, np.nan, 0.02], nan_ok=True)
    assert holm([0.9, 0.8]).tolist() == [1.0, 1.0]
