"""Ranks together see every global batch once, whatever their number."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from semprune.data.sampling import ShardedBatchSampler, in_order, shuffled, within_budget

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
    for plan in (in_order(count, size), shuffled(count, size, seed), within_budget([1] * count, [1] * count, size)):
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


def test_epochs_shuffle_anew_and_seeds_differ() -> None:
    sampler = ShardedBatchSampler(shuffled(40, 40, seed=0))
    first = list(sampler)
    assert list(sampler) == first
    sampler.set_epoch(1)
    assert list(sampler) != first
    assert list(ShardedBatchSampler(shuffled(40, 40, seed=1))) != first
    sampler.set_epoch(0)
    assert list(sampler) == first
