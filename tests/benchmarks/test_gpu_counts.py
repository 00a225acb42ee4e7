"""What would be asked of a GPU, counted on the CPU: known calls, and that pruning asks no more than it must."""

import torch
from benchmarks.gpu.counting import Counts, count

from semprune.pruning.selection.keep import keeper
from semprune.pruning.weights.brain_surgeon import Choice, sweep
from semprune.pruning.weights.linear import refuse_non_finite

ONE = torch.arange(8.0)


def test_a_sum_reads_both_and_writes_one():
    assert count(lambda: ONE + ONE[:1]) == Counts(launches=1, moved_bytes=32 + 4 + 32)


def test_views_cost_nothing_and_repeated_numbers_are_read_once():
    assert count(lambda: ONE.view(2, 4).t()[1:]) == Counts()
    assert count(lambda: ONE[:1].expand(8).clone()).moved_bytes == 4 + 32


def test_the_host_waits_for_numbers_masks_and_copies():
    assert count(lambda: float(ONE[0])).waits == 1
    assert count(lambda: ONE[torch.ones(8, dtype=torch.bool)]).waits == 1
    assert count(lambda: ONE.cpu()) == Counts(waits=1, fetched_bytes=32)
    assert count(lambda: ONE.tolist()).fetched_bytes == 32
    assert count(lambda: ONE[torch.tensor([1, 2])]).waits == 0


def test_a_single_value_is_filled_in_without_a_wait():
    changed, mask = ONE.clone(), ONE > 3

    def fill() -> None:
        changed[mask] = 0.0

    assert count(fill).waits == 0


def test_adding_to_a_part_in_place_copies_nothing():
    changed = torch.zeros(2, 8)

    def by_method() -> None:
        changed[0].add_(ONE)

    def by_operator() -> None:
        changed[0] += ONE

    assert (count(by_method).launches, count(by_operator).launches) == (1, 2)


def test_a_column_of_sparsegpt_takes_four_launches():
    weight, upper = torch.randn(8, 32, generator=torch.Generator().manual_seed(0)), torch.eye(32)

    def launches(columns: int) -> int:
        choice = Choice([keeper("exact", 0.5)], [8])
        return count(lambda: sweep(weight[:, :columns].clone(), upper[:columns, :columns], 16, choice)).launches

    # one more block of 16 columns adds 4 launches of each but the last, which lacks 2, and the block's own
    assert launches(32) - launches(16) <= 16 * 4 - 2 + 25


def test_a_tensor_is_asked_once_whether_its_numbers_are_finite():
    assert count(lambda: refuse_non_finite("w", ONE)).waits == 1
