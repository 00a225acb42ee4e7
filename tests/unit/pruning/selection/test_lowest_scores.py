"""Thresholds found without sorting are those of a sort, in every number format."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from semprune.pruning.selection import keep as lowest
from semprune.pruning.selection.keep import lowest_threshold, select_lowest

DTYPES = [torch.float64, torch.float32, torch.float16, torch.bfloat16]


@given(st.sampled_from(DTYPES), st.integers(1, 4), st.integers(1, 12), st.integers(0, 9), st.data())
def test_the_threshold_is_the_sorted_score_at_that_place(dtype, rows, members, seed, data):
    count = data.draw(st.integers(1, members))
    score = torch.randn(rows, members, generator=torch.Generator().manual_seed(seed)).to(dtype)
    found = lowest_threshold(score, count)

    assert found.dtype == dtype
    assert found.tolist() == [[sorted(row)[count - 1]] for row in score.tolist()]


@pytest.mark.parametrize("threads", [1, 8])
def test_both_ways_give_one_threshold_and_put_nan_last(monkeypatch, threads):
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
    score = torch.tensor([[3.0, math.nan, 1.0], [2.0, 2.0, -1.0]])

    assert lowest_threshold(score, 2).tolist() == [[3.0], [2.0]]
    assert lowest_threshold(score, 3)[0].isnan().all()


def test_scores_stay_as_they_are():
    score = torch.tensor([[3.0, 1.0, 2.0]])
    select_lowest(score, 2)

    assert score.tolist() == [[3.0, 1.0, 2.0]]


def test_nothing_is_looked_for_where_nothing_goes(monkeypatch):
    monkeypatch.setattr(lowest, "lowest_threshold", None)

    assert not select_lowest(torch.ones(2, 3), 0).any()
