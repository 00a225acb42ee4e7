"""Ranks together see every global batch once, whatever their number."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from semprune.data.batches.sampling import (
    Plan,
    ShardedBatchSampler,
    bucketed,
    by_length,
    in_order,
    shuffled,
    within_budget,
)

COUNTS = st.integers(0, 50)
SIZES = st.integers(1, 9)


def shares(sampler: ShardedBatchSampler, world: int) -> list[list[list[int]]]:
    """What each rank gets, with ``torch.distributed`` standing in."""
    found = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("torch.distributed.is_initialized", lambda: True)
        patch.setattr("torch.distributed.get_world_size", lambda: world)
        for rank in range(world):
            patch.setattr("torch.distributed.get_rank", lambda rank=rank: rank)
            found.append(list(sampler))
    return found


@given(COUNTS, SIZES, st.integers(1, 4), st.integers(0, 3), st.integers(0, 5))
def test_shares_are_the_global_batch_without_repeats(count: int, size: int, world: int, epoch: int, seed: int) -> None:
    lengths = [7 * index % 5 for index in range(count)]
    plans: list[Plan] = [in_order(count, size), shuffled(count, size, seed), within_budget([1] * count, lengths, size)]
    for plan in (*plans, bucketed(lengths, size, seed, window_batches=4), by_length(lengths, size)):
        sampler = ShardedBatchSampler(plan)
        sampler.set_epoch(epoch)
        alone = list(sampler)
        by_rank = shares(sampler, world)
        assert sorted(index for batch in alone for index in batch) == list(range(count))
        assert all(len(batches) == len(sampler) == len(alone) for batches in by_rank)
        for step, batch in enumerate(alone):
            together = [index for batches in by_rank for index in batches[step]]
            assert sorted(together) == sorted(batch)
            assert max(len(b[step]) for b in by_rank) - min(len(b[step]) for b in by_rank) <= 1


def test_the_last_share_may_be_empty() -> None:
    assert shares(ShardedBatchSampler(in_order(5, 4)), 2) == [[[0, 2], [4]], [[1, 3], []]]


@pytest.mark.parametrize("make", [lambda seed: shuffled(40, 40, seed), lambda seed: bucketed(range(40), 8, seed)])
def test_epochs_shuffle_anew_and_seeds_differ(make: Callable[[int], Plan]) -> None:
    sampler = ShardedBatchSampler(make(0))
    first = list(sampler)
    assert list(sampler) == first
    sampler.set_epoch(1)
    assert list(sampler) != first
    assert list(ShardedBatchSampler(make(1))) != first
    sampler.set_epoch(0)
    assert list(sampler) == first


def test_a_window_is_a_random_sample_cut_into_bands_of_length() -> None:
    lengths = np.random.default_rng(0).permutation(256).tolist()
    batches = bucketed(lengths, 4, seed=5, window_batches=8)(2)
    for start in range(0, 64, 8):
        window = sorted(([lengths[i] for i in batch] for batch in batches[start : start + 8]), key=min)
        assert all(max(shorter) < min(longer) for shorter, longer in pairwise(window))
        assert 60 < np.mean(window) < 196  # of 0 … 255: a sample of 32, not a band
    first = [lengths[i] for i in batches[0]]
    assert first != sorted(lengths)[:4], "batches of a window are shuffled"


def test_similar_lengths_leave_little_to_pad() -> None:
    # Log-normal lengths, 32 windows of 16 batches: within a window each batch holds a sixteenth of the lengths.
    lengths = np.random.default_rng(1).lognormal(3, 0.7, size=32 * 16 * 8).astype(int).clip(1, 64).tolist()

    def padded(plan: Plan) -> float:
        return sum(len(batch) * max(lengths[index] for index in batch) for batch in plan(0)) / sum(lengths)

    assert padded(shuffled(len(lengths), 8, 0)) > 1.7
    assert 1.0 < padded(bucketed(lengths, 8, 0)) < 1.1
    assert 1.0 <= padded(by_length(lengths, 8)) < 1.01
