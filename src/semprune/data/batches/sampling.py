"""Plans of global batches, and the sampler that gives each rank its share of every one.

All ranks make the same plan and take ``batch[rank::world]`` of each global batch. Nothing is repeated to
make shares even, as a DistributedSampler does, so that every count, statistic and metric is exact; a rank
whose share is empty gets a batch of no rows (no model reads that: skip the forward), and all ranks take the
same number of steps.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch.distributed
from torch.utils.data import Sampler

Plan = Callable[[int], list[list[int]]]
"""Epoch -> global batches of indices; the number of batches is the same in every epoch."""


def in_order(count: int, batch_size: int) -> Plan:
    """Plan that takes things in their order.

    Example:
        >>> in_order(5, 2)(0)
        [[0, 1], [2, 3], [4]]
    """
    return lambda epoch: _cut(range(count), batch_size)


def shuffled(count: int, batch_size: int, seed: int) -> Plan:
    """Plan that shuffles anew in each epoch; seed and epoch say how.

    Args:
        count: Number of things.
        batch_size: Things in a global batch; the last one may have fewer.
        seed: Any number.
    """
    return lambda epoch: _cut(np.random.default_rng([seed, epoch]).permutation(count).tolist(), batch_size)


def by_length(lengths: Sequence[int], batch_size: int) -> Plan:
    """Plan of batches of similar lengths, longest first: for passes whose order says nothing.

    Example:
        >>> by_length([3, 9, 4], batch_size=2)(0)
        [[1, 2], [0]]
    """
    order = sorted(range(len(lengths)), key=lambda index: (-lengths[index], index))
    return lambda epoch: _cut(order, batch_size)


WINDOW_BATCHES = 16
"""Batches of a window: sixteen length bands leave less than a tenth to pad in reviews and news."""


def bucketed(lengths: Sequence[int], batch_size: int, seed: int, window_batches: int = WINDOW_BATCHES) -> Plan:
    """Plan of batches of similar lengths in random order.

    Each epoch shuffles and cuts windows; a window is sorted by length, cut into batches, and these are shuffled.

    Args:
        lengths: Tokens of each thing.
        batch_size: Things in a global batch; the last one of the last window may have fewer.
        seed: Any number.
        window_batches: Batches of a window: more leave less to pad, fewer mix more.

    Example:
        >>> sorted(map(len, bucketed([5, 5, 9, 9, 2, 2, 7], batch_size=2, seed=0)(0)))
        [1, 2, 2, 2]
    """

    def plan(epoch: int) -> list[list[int]]:
        random = np.random.default_rng([seed, epoch])
        batches: list[list[int]] = []
        for window in _cut(random.permutation(len(lengths)).tolist(), window_batches * batch_size):
            by_length = _cut(sorted(window, key=lengths.__getitem__), batch_size)
            batches.extend(by_length[band] for band in random.permutation(len(by_length)))
        return batches

    return plan


def within_budget(rows: Sequence[int], lengths: Sequence[int], token_budget: int) -> Plan:
    """Plan of batches of similar lengths whose padded size stays within a budget, longest first.

    An out-of-memory error then comes with the first batch, not after an hour.

    Args:
        rows: Rows of each thing.
        lengths: Tokens of its longest row.
        token_budget: Most rows × longest row of a global batch. A thing that is larger is a batch of its own.

    Example:
        >>> within_budget([1, 1, 1, 2], [3, 9, 4, 3], token_budget=10)(0)
        [[1], [2, 0], [3]]
    """
    batches: list[list[int]] = []
    held = longest = 0
    for index in sorted(range(len(rows)), key=lambda index: (-lengths[index], index)):
        if not batches or (held + rows[index]) * longest > token_budget:
            batches.append([])
            held, longest = 0, lengths[index]
        batches[-1].append(index)
        held += rows[index]
    return lambda epoch: [list(batch) for batch in batches]


class ShardedBatchSampler(Sampler[list[int]]):
    """Gives a rank its share of every global batch.

    Rank and number of ranks are read when iteration starts, from ``torch.distributed`` where that is
    initialised: the sampler can be made before the processes have found each other.

    Attributes:
        skip: Batches that the next iteration, and only that, leaves out: those that a stopped run has had.

    Args:
        plan: Plan of things, or of groups of things.
        groups: Things of each group, which stay in one batch on one rank; None where the plan is of things.
    """

    def __init__(self, plan: Plan, groups: Sequence[Sequence[int]] | None = None) -> None:
        """Keep the plan; the epoch is 0 until :meth:`set_epoch`."""
        self.plan = plan
        self.groups = groups
        self.epoch = 0
        self.skip = 0
        self._length = len(plan(0))

    @property
    def sampler(self) -> ShardedBatchSampler:
        """Itself: Lightning looks for ``set_epoch`` on ``batch_sampler.sampler``."""
        return self

    def set_epoch(self, epoch: int) -> None:
        """Say which epoch comes next; Lightning does so before each."""
        self.epoch = epoch

    def __len__(self) -> int:
        """Number of global batches, which each rank steps through."""
        return self._length

    def __iter__(self) -> Iterator[list[int]]:
        """Yield this rank's share of each global batch, which may be empty."""
        rank, world = rank_and_world()
        skipped, self.skip = self.skip, 0
        for batch in self.plan(self.epoch)[skipped:]:
            own = batch[rank::world]
            yield own if self.groups is None else [thing for group in own for thing in self.groups[group]]


def rank_and_world() -> tuple[int, int]:
    """This process's rank and the number of ranks; (0, 1) without ``torch.distributed``."""
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        return torch.distributed.get_rank(), torch.distributed.get_world_size()
    return 0, 1


def _cut(order: Sequence[int], batch_size: int) -> list[list[int]]:
    return [list(order[start : start + batch_size]) for start in range(0, len(order), batch_size)]
