"""Which weights go: exactly as many as asked, or what the published code takes."""

from dataclasses import replace

import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st

from semprune.errors import SettingError, SparsityRangeError
from semprune.pruning.selection.keep import (
    check_selection,
    check_sparsity,
    keeper,
    pruned_count,
    select_exact,
    select_reference,
)

SPARSITIES = st.integers(0, 99).map(lambda percent: percent / 100)
GROUPS = st.sampled_from(["row", "matrix"])


@st.composite
def scores(draw, distinct=False):
    """Small matrices; few different values, so that ties are everywhere, or none alike."""
    rows, columns = draw(st.integers(1, 5)), draw(st.integers(1, 9))
    count = rows * columns
    values = draw(
        st.permutations(range(count)) if distinct else st.lists(st.integers(0, 3), min_size=count, max_size=count)
    )
    return torch.tensor(values, dtype=torch.float32).reshape(rows, columns)


def slow_exact(score, percent, group):
    """Loops over Python floats: the ``size * percent // 100`` lowest of each group, the first ones among equals."""
    rows = score.double().tolist()
    flat = [(value, i, j) for i, row in enumerate(rows) for j, value in enumerate(row)]
    groups = [flat] if group == "matrix" else [[entry for entry in flat if entry[1] == i] for i in range(len(rows))]
    kept = [[True] * len(row) for row in rows]
    for members in groups:
        for _, i, j in sorted(members)[: len(members) * percent // 100]:
            kept[i][j] = False
    return torch.tensor(kept)


def published_reference(score, sparsity, group):
    """The published rules, said with Python lists."""
    rows = score.tolist()
    if sparsity == 0:
        return torch.ones_like(score, dtype=torch.bool)
    if group == "matrix":
        flat = sorted(value for row in rows for value in row)
        threshold = flat[int(len(flat) * sparsity)]
        return torch.tensor([[not value <= threshold for value in row] for row in rows])
    kept = []
    for row in rows:
        order = sorted(range(len(row)), key=row.__getitem__)  # Python's sort is stable
        pruned = set(order[: int(len(row) * sparsity)])
        kept.append([j not in pruned for j in range(len(row))])
    return torch.tensor(kept)


@given(scores(), st.integers(0, 99), GROUPS)
def test_exact_equals_a_slow_loop_in_every_tie_case(score, percent, group):
    assert torch.equal(select_exact(score, percent / 100, group), slow_exact(score, percent, group))


@given(scores(), SPARSITIES, GROUPS)
def test_reference_equals_the_published_rules(score, sparsity, group):
    assert torch.equal(select_reference(score, sparsity, group), published_reference(score, sparsity, group))


@given(scores(), st.integers(0, 99))
def test_exact_prunes_the_asked_number_of_each_row(score, percent):
    pruned = ~select_exact(score, percent / 100, "row")

    assert pruned.sum(-1).tolist() == [score.shape[1] * percent // 100] * score.shape[0]


@given(scores(distinct=True), st.floats(0, 1, exclude_max=True), st.sampled_from(["exact", "reference"]))
@example(torch.tensor([[1.0, 2.0, 3.0]]), 1 - 2**-53, "reference")
@example(torch.tensor([[1.0, 2.0, 3.0]]), 1 - 2**-53, "exact")
def test_no_sparsity_below_one_empties_a_row_that_competes_by_itself(score, sparsity, selection):
    assert keeper(selection, sparsity)(score, "row").any(-1).all()


@given(scores(), SPARSITIES, GROUPS, st.integers(-20, 20))
def test_exact_does_not_depend_on_the_scale(score, sparsity, group, power):
    assert torch.equal(select_exact(score, sparsity, group), select_exact(score * 2.0**power, sparsity, group))


@given(scores(distinct=True), SPARSITIES, GROUPS, st.randoms(use_true_random=False))
def test_exact_follows_a_permutation_of_rows_and_columns(score, sparsity, group, random):
    rows, columns = list(range(score.shape[0])), list(range(score.shape[1]))
    random.shuffle(rows)
    random.shuffle(columns)

    moved = select_exact(score[rows][:, columns], sparsity, group)

    assert torch.equal(moved, select_exact(score, sparsity, group)[rows][:, columns])


@given(scores(), SPARSITIES, SPARSITIES, GROUPS)
def test_exact_masks_of_higher_sparsity_lie_inside_those_of_lower(score, one, other, group):
    low, high = sorted((one, other))

    assert not (select_exact(score, high, group) & ~select_exact(score, low, group)).any()


@given(scores(), SPARSITIES, GROUPS)
def test_exact_is_idempotent(score, sparsity, group):
    kept = select_exact(score, sparsity, group)

    assert torch.equal(select_exact(score * kept, sparsity, group), kept)


def test_trap_threshold_prunes_too_many_where_bf16_weights_tie():
    torch.manual_seed(0)
    score = torch.randn(256, 256).bfloat16().abs()
    half = score.numel() // 2

    published = (~select_reference(score, 0.5, "matrix")).sum().item()
    exact = (~select_exact(score, 0.5, "matrix")).sum().item()

    assert published > half + 50
    assert exact == half


def test_trap_threshold_prunes_one_too_many_even_without_ties():
    score = torch.arange(10.0).reshape(2, 5)

    assert (~select_reference(score, 0.5, "matrix")).sum() == 6
    assert (~select_exact(score, 0.5, "matrix")).sum() == 5


def test_equal_scores_go_in_the_order_of_their_columns():
    kept = select_exact(torch.ones(2, 4), 0.5, "row")

    assert kept.tolist() == [[False, False, True, True]] * 2


def test_equal_scores_go_row_by_row_where_the_matrix_is_the_group():
    kept = select_exact(torch.ones(2, 4), 0.5, "matrix")

    assert kept.tolist() == [[False] * 4, [True] * 4]


def test_a_transposed_view_is_selected_like_its_copy():
    score = torch.arange(12.0).reshape(3, 4).t()

    for group in ("row", "matrix"):
        assert torch.equal(select_exact(score, 0.4, group), select_exact(score.contiguous(), 0.4, group))


@pytest.mark.parametrize(
    ("sparsity", "size", "count"),
    [(0.29, 100, 29), (0.57, 100, 57), (0.5, 5, 2), (0.0, 7, 0), (0.99, 2, 1), (0.1, 10, 1)],
)
def test_pruned_count_reads_the_decimal_as_written(sparsity, size, count):
    assert pruned_count(sparsity, size) == count


@pytest.mark.parametrize("sparsity", [50, 1.0, -0.1, float("nan")])
def test_sparsity_outside_its_range_is_refused(sparsity):
    with pytest.raises(SparsityRangeError, match="sparsity must be in"):
        check_sparsity(sparsity)


def test_unknown_selection_is_refused():
    with pytest.raises(SettingError, match="'exact' or 'reference', got 'best'"):
        check_selection("best")


def test_keeper_binds_selection_and_sparsity():
    score = torch.arange(4.0).reshape(1, 4)

    assert keeper("exact", 0.5)(score, "matrix").tolist() == [[False, False, True, True]]
    assert keeper("reference", 0.5)(score, "matrix").tolist() == [[False, False, False, True]]


def test_rows_share_the_sparsity_by_their_outputs_and_patterns_are_left_as_they_are():
    score, outputs = torch.rand(6, 8, generator=torch.Generator().manual_seed(0)), torch.tensor([0.0, 1, 2, 4, 8, 9])
    keep = replace(keeper("exact", 0.4), outputs=outputs)
    weighted = [
        [float(value) * max(float(g) / 4.0, 1e-4) ** 0.25 for value in row]
        for row, g in zip(score, outputs, strict=True)
    ]
    lowest = sorted(value for row in weighted for value in row)[: int(48 * 0.4)]
    assert keep(score, "row").tolist() == [[value > lowest[-1] for value in row] for row in weighted]
    assert int((~keep(score, "row")).sum()) == 19
    assert torch.equal(keep(score, "matrix"), keep(score, "row"))
    pattern = keeper("exact", 0.5, "2:4")
    assert torch.equal(replace(pattern, outputs=outputs)(score, "row"), pattern(score, "row"))
