"""RIA: shares of rows and columns, both groups, and the order of columns under which an N:M pattern holds."""

import copy
import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.golden import published

from semprune.errors import SettingError
from semprune.pruning import find_method, load_masks, prune_model, save_masks
from semprune.pruning.masks.stored import StoredMasks
from semprune.pruning.methods.ria import relative_importance
from semprune.pruning.selection.channel_order import assigned_order, exchanged, snake_order
from semprune.pruning.selection.keep import keeper
from semprune.pruning.selection.pattern import Pattern, select_pattern_exact
from semprune.types import Fingerprint, LayerStats

ria = find_method("ria")


def problem(rows=6, width=16, seed=0):
    generator = torch.Generator().manual_seed(seed)
    squares = torch.rand(width, generator=generator) * 9 + 0.1
    return torch.randn(rows, width, generator=generator), LayerStats(squares, 8.0, 2, squares / 2)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("group", ["matrix", "row"])
@pytest.mark.parametrize(("pattern", "goes"), [(None, None), ("2:4", (2, 4)), ("1:4", (3, 4))])
def test_reference_equals_the_published_rule_bit_for_bit(dtype, group, pattern, goes):
    weight, stats = problem(40, 64)
    weight = weight.to(dtype)
    weight[3] = 0  # published: 0 / 0, and never selected by the threshold
    weight[:, 5] = 0
    kept = ria.with_options({"group": group}).prune(weight, stats, keeper("reference", 0.5, pattern)).kept

    metric = published.ria_metric(weight, stats.mean_squares)
    assert torch.equal(kept, ~published.selected(metric, 0.5, goes, per_row=group == "row"))


def test_score_by_hand():
    """w = 3 is 3/4 of its column and all of its row; its input has norm 4, whose root is 2."""
    score = ria.score(
        torch.tensor([[3.0, 0.0], [1.0, 1.0]]), LayerStats(torch.tensor([16.0, 1.0]), 1, 1), keeper("exact", 0.5)
    )

    assert score.tolist() == [[3.5, 0.0], [1.5, 1.5]]


def test_rows_and_columns_of_zeros_have_no_share():
    weight = torch.tensor([[0.0, 0.0], [0.0, 2.0]])

    assert relative_importance(weight).tolist() == [[0.0, 0.0], [0.0, 2.0]]


@pytest.mark.parametrize("percent", [10, 50, 90])
def test_exact_prunes_the_asked_number_of_the_matrix_or_of_each_row(percent):
    weight, stats = problem(10, 20)
    whole = ria.prune(weight, stats, keeper("exact", percent / 100)).kept
    rows = ria.with_options({"group": "row"}).prune(weight, stats, keeper("exact", percent / 100)).kept

    assert (~whole).sum() == 200 * percent // 100
    assert (~rows).sum(-1).tolist() == [20 * percent // 100] * 10


@given(st.integers(-6, 6), st.integers(-3, 3), st.sampled_from([None, "2:4"]))
@settings(deadline=None)
def test_the_scale_of_weights_or_inputs_does_not_matter(weights, inputs, pattern):
    weight, stats = problem()
    keep = keeper("exact", 0.5, pattern)
    scaled = LayerStats(stats.sum_squares * 16.0**inputs, 8.0, 2)

    assert torch.equal(ria.prune(weight * 2.0**weights, scaled, keep).kept, ria.prune(weight, stats, keep).kept)


@given(st.randoms(use_true_random=False))
@settings(deadline=None)
def test_masks_follow_a_permutation_of_rows_and_columns(random):
    weight, stats = problem()
    rows, columns = list(range(6)), list(range(16))
    random.shuffle(rows)
    random.shuffle(columns)
    keep = keeper("exact", 0.5)
    moved = ria.prune(weight[rows][:, columns], LayerStats(stats.sum_squares[columns], 8.0, 2), keep).kept

    assert torch.equal(moved, ria.prune(weight, stats, keep).kept[rows][:, columns])


@given(st.integers(0, 99), st.integers(0, 99), st.sampled_from(["matrix", "row"]))
def test_masks_of_higher_sparsity_lie_inside_those_of_lower(one, other, group):
    weight, stats = problem()
    low, high = sorted((one / 100, other / 100))
    method = ria.with_options({"group": group})
    kept = [method.prune(weight, stats, keeper("exact", sparsity)).kept for sparsity in (low, high)]

    assert not (kept[1] & ~kept[0]).any()


def test_an_exponent_of_zero_looks_at_weights_only():
    weight, stats = problem()
    other = LayerStats(stats.sum_squares.flip(0), 8.0, 2)
    blind = ria.with_options({"exponent": 0.0})
    keep = keeper("exact", 0.5)

    assert torch.equal(blind.prune(weight, stats, keep).kept, blind.prune(weight, other, keep).kept)
    assert not torch.equal(ria.prune(weight, stats, keep).kept, ria.prune(weight, other, keep).kept)


def test_snake_by_hand():
    """Eight columns of sums 0 to 7, dealt into 4 bands of 2: 0 1 | 3 2 | 4 5 | 7 6; a run takes one of each band."""
    score = torch.tensor([[7.0, 6.0, 5.0, 4.0, 3.0, 2.0, 1.0, 0.0]])

    assert score[0, snake_order(score, Pattern(2, 4))].tolist() == [0, 3, 4, 7, 1, 2, 5, 6]


@pytest.mark.parametrize("pattern", [Pattern(2, 4), Pattern(4, 8), Pattern(1, 2)])
def test_snake_is_the_published_dealing(pattern):
    score = torch.rand(9, 48, generator=torch.Generator().manual_seed(0))

    assert torch.equal(snake_order(score, pattern), published.snake(score, pattern.run))


def test_in_reference_columns_of_equal_sums_are_dealt_as_torch_sorts_them_and_else_in_their_order():
    """256 columns of two sums: ``torch.sort`` mixes equals, and the published code takes them as it gives them."""
    score = torch.ones(3, 256)
    score[:, ::3] = 2
    stable, published_order = snake_order(score, Pattern(2, 4)), snake_order(score, Pattern(2, 4), stable=False)

    assert torch.equal(published_order, published.snake(score, 4))
    ones = [column for column in range(256) if column % 3]
    assert stable[:2].tolist() == [ones[0], ones[127]]  # bands of 64, each second one backwards


def retained(score, order, pattern):
    ordered = score[:, order]
    return (ordered * select_pattern_exact(ordered, pattern)).double().sum().item()


@pytest.mark.parametrize("pattern", [Pattern(2, 4), Pattern(1, 4), Pattern(3, 4), Pattern(1, 2)])
def test_each_assignment_is_the_best_exchange_of_one_place(pattern):
    """Three runs: all 3! exchanges of each place tried, by brute force."""
    score = torch.rand(5, 3 * pattern.run, generator=torch.Generator().manual_seed(1))
    runs = torch.arange(3 * pattern.run).reshape(3, -1)
    for place in range(pattern.run):
        tried = []
        for order in itertools.permutations(range(3)):
            moved = runs.clone()
            moved[:, place] = runs[list(order), place]
            tried.append(retained(score, moved.reshape(-1), pattern))
        runs = exchanged(score, runs, place, pattern)
        assert retained(score, runs.reshape(-1), pattern) == pytest.approx(max(tried))

    assert sorted(runs.flatten().tolist()) == list(range(3 * pattern.run))
    assert torch.equal(assigned_order(score, torch.arange(3 * pattern.run), pattern), runs.reshape(-1))


@given(st.integers(0, 1000))
@settings(deadline=None, max_examples=20)
def test_assignments_never_keep_less(seed):
    score = torch.rand(4, 24, generator=torch.Generator().manual_seed(seed))
    pattern = Pattern(2, 4)
    order = snake_order(score, pattern)

    assert retained(score, assigned_order(score, order, pattern), pattern) >= retained(score, order, pattern) - 1e-6


def test_crowded_columns_are_spread_by_the_order():
    """Planted: all important columns lie in the first runs. Dealt out, every one of them is kept."""
    weight = torch.full((4, 16), 0.01)
    weight[:, :8] = 1.0
    stats = LayerStats(torch.ones(16), 1, 1)
    keep = keeper("exact", 0, "2:4")
    plain, dealt = ria.prune(weight, stats, keep), ria.with_options({"permutation": "snake"}).prune(weight, stats, keep)

    assert plain.kept[:, :8].sum() == 16
    assert plain.order is None
    assert dealt.kept[:, :8].all()
    assert not dealt.kept[:, 8:].any()


@pytest.mark.parametrize("selection", ["exact", "reference"])
@pytest.mark.parametrize("permutation", ["snake", "assignment"])
def test_the_pattern_holds_in_the_reported_order(llama, input_ids, permutation, selection, tmp_path):
    report = prune_model(llama, input_ids, method="ria", pattern="2:4", permutation=permutation, selection=selection)

    assert report.orders.keys() == report.masks.keys()
    for name, mask in report.masks.items():
        assert sorted(report.orders[name].tolist()) == list(range(mask.shape[1]))
        ordered = mask[:, report.orders[name]]
        assert ordered.reshape(mask.shape[0], -1, 4).sum(-1).unique().tolist() == [2]
        own_order = bool((mask.reshape(mask.shape[0], -1, 4).sum(-1) <= 2).all())
        assert report.patterned[name] == own_order
    assert not all(report.patterned.values())
    assert report.settings["permutation"] == permutation

    stored = StoredMasks.of(report, Fingerprint("tiny", "local", "0" * 64))
    read = load_masks(save_masks(tmp_path / "masks.safetensors", stored))
    assert read.patterned == report.patterned
    assert all(torch.equal(read.orders[name], order) for name, order in report.orders.items())


def test_the_order_of_a_conv1d_is_that_of_its_inputs(gpt2, input_ids):
    report = prune_model(gpt2, input_ids, method="ria", pattern="2:4", permutation="snake")

    for name, mask in report.masks.items():
        ordered = mask[report.orders[name]]
        assert ordered.t().reshape(mask.shape[1], -1, 4).sum(-1).unique().tolist() == [2]


def test_without_permutation_the_pattern_holds_as_stored(llama, input_ids):
    report = prune_model(llama, input_ids, method="ria", pattern="2:4")

    assert set(report.patterned.values()) == {True}
    assert report.orders == {}


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"exponent": -1}, "exponent must be ≥ 0"),
        ({"group": "column"}, "group must be 'matrix' or 'row', got 'column'"),
        ({"permutation": "sort"}, "permutation must be 'none', 'snake' or 'assignment'"),
    ],
)
def test_bad_options_are_refused(options, match):
    with pytest.raises(SettingError, match=match):
        ria.with_options(options)


def test_a_permutation_without_a_pattern_is_refused_before_anything_changes(llama, input_ids):
    before = copy.deepcopy(llama.state_dict())
    with pytest.raises(SettingError, match=r"permutation must be 'none' where there is no N:M pattern, got 'snake'"):
        prune_model(llama, input_ids, method="ria", sparsity=0.5, permutation="snake")

    assert all(torch.equal(value, before[name]) for name, value in llama.state_dict().items())
