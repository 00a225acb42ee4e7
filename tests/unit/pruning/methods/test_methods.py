"""Methods by themselves: tensors in, tensors out."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from semprune.errors import UnknownMethodError
from semprune.pruning import find_method, methods
from semprune.pruning.selection.keep import keeper
from semprune.types import LayerStats


@st.composite
def problems(draw):
    """A weight and sums of squares with few values: ties within and between rows and columns."""
    rows, columns = draw(st.integers(1, 4)), draw(st.integers(1, 8))
    values = draw(st.lists(st.integers(-2, 2), min_size=rows * columns, max_size=rows * columns))
    squares = draw(st.lists(st.sampled_from([0.0, 1.0, 4.0]), min_size=columns, max_size=columns))
    return torch.tensor(values, dtype=torch.float32).reshape(rows, columns), torch.tensor(squares)


def slow_wanda(weight, squares, percent):
    kept = []
    for row in weight.double().tolist():
        scores = [abs(value) * square**0.5 for value, square in zip(row, squares.double().tolist(), strict=True)]
        pruned = sorted(range(len(row)), key=scores.__getitem__)[: len(row) * percent // 100]
        kept.append([j not in pruned for j in range(len(row))])
    return torch.tensor(kept)


@given(problems(), st.integers(0, 99))
def test_wanda_equals_a_slow_loop_in_every_tie_case(problem, percent):
    weight, squares = problem
    decision = find_method("wanda").prune(weight, LayerStats(squares, 1.0, 1), keeper("exact", percent / 100))

    assert torch.equal(decision.kept, slow_wanda(weight, squares, percent))
    assert decision.weight is None


@given(problems(), st.integers(0, 99), st.integers(-10, 10))
def test_wanda_does_not_depend_on_the_scale_of_weights_or_inputs(problem, percent, power):
    weight, squares = problem
    keep = keeper("exact", percent / 100)
    prune = find_method("wanda").prune
    expected = prune(weight, LayerStats(squares, 1.0, 1), keep).kept

    assert torch.equal(prune(weight * 2.0**power, LayerStats(squares, 1.0, 1), keep).kept, expected)
    assert torch.equal(prune(weight, LayerStats(squares * 4.0**power, 1.0, 1), keep).kept, expected)


@given(problems(), st.integers(0, 99))
def test_wanda_with_equal_inputs_is_magnitude_within_rows(problem, percent):
    weight, squares = problem
    keep = keeper("exact", percent / 100)
    decision = find_method("wanda").prune(weight, LayerStats(torch.ones_like(squares), 1.0, 1), keep)

    assert torch.equal(decision.kept, keep(weight.abs(), "row"))


AMOUNTS = st.sampled_from([(0.0, None), (0.3, None), (0.5, None), (0.9, None), (0, "2:4"), (0, "4:8"), (0, "1:4")])


def distinct(seed, rows=5, columns=16):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(rows, columns, generator=generator), torch.rand(columns, generator=generator) + 0.1


@given(st.sampled_from(["magnitude", "wanda"]), AMOUNTS, st.integers(0, 99))
def test_pruning_what_is_pruned_changes_nothing_where_scores_do_not_change(name, amount, seed):
    weight, squares = distinct(seed)
    stats, keep = LayerStats(squares, 1.0, 1), keeper("exact", *amount)
    once = find_method(name).prune(weight, stats, keep).kept

    assert torch.equal(find_method(name).prune(weight * once, stats, keep).kept, once)


@given(st.sampled_from(["magnitude", "wanda", "ria"]), st.integers(0, 99), st.integers(0, 99), st.integers(0, 9))
def test_scored_masks_of_higher_sparsity_lie_inside_those_of_lower(name, one, other, seed):
    weight, squares = distinct(seed)
    low, high = (
        find_method(name).prune(weight, LayerStats(squares, 1.0, 1), keeper("exact", percent / 100)).kept
        for percent in sorted((one, other))
    )

    assert not (high & ~low).any()


@given(st.sampled_from(["magnitude", "wanda", "ria"]), AMOUNTS, st.integers(0, 9), st.randoms(use_true_random=False))
def test_scored_masks_follow_a_permutation(name, amount, seed, random):
    """Of rows and columns; with a pattern, of rows and runs."""
    weight, squares = distinct(seed)
    run = 1 if amount[1] is None else int(amount[1].split(":")[1])
    rows, runs = list(range(5)), list(range(16 // run))
    random.shuffle(rows)
    random.shuffle(runs)
    columns = [run * index + place for index in runs for place in range(run)]
    keep, prune = keeper("exact", *amount), find_method(name).prune
    moved = prune(weight[rows][:, columns], LayerStats(squares[columns], 1.0, 1), keep).kept

    assert torch.equal(moved, prune(weight, LayerStats(squares, 1.0, 1), keep).kept[rows][:, columns])


def test_wanda_reads_the_published_mean_where_it_was_gathered():
    weight, sums, mean = torch.ones(1, 2), torch.tensor([9.0, 1.0]), torch.tensor([1.0, 9.0])
    keep = keeper("exact", 0.5)

    assert find_method("wanda").prune(weight, LayerStats(sums, 1.0, 1), keep).kept.tolist() == [[True, False]]
    assert find_method("wanda").prune(weight, LayerStats(sums, 1.0, 1, mean), keep).kept.tolist() == [[False, True]]


def test_magnitude_compares_over_the_whole_matrix():
    weight = torch.tensor([[-5.0, 4.0], [1.0, -2.0]])
    decision = find_method("magnitude").prune(weight, None, keeper("exact", 0.5))

    assert decision.kept.tolist() == [[True, True], [False, False]]


@pytest.mark.parametrize("name", sorted(methods()))
def test_every_method_is_named_like_its_file_and_only_reads_its_inputs(name):
    method = find_method(name)
    inputs = torch.randn(20, 8)
    squares = inputs.square().sum(0)
    weight, stats = torch.randn(6, 8), LayerStats(squares, 20.0, 1, second_moments=2 * inputs.t() @ inputs)
    before = weight.clone()
    decision = method.prune(weight, stats, keeper("exact", 0.5))

    assert method.name == name
    assert decision.kept.dtype == torch.bool
    assert decision.kept.shape == weight.shape
    assert (~decision.kept).sum() == 24
    assert torch.equal(weight, before)


def test_an_unknown_method_is_refused():
    with pytest.raises(UnknownMethodError, match="unknown pruning method 'wnda'; did you mean 'wanda'"):
        find_method("wnda")
