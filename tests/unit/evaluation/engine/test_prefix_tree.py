"""Trees hold every request, every shared token once, and nobody sees what is not before him in his own text."""

from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from semprune.data.batches.encoding import EncodedRequest
from semprune.evaluation.engine.packing import pack, pack_rows, plan_batches
from semprune.evaluation.engine.prefix_tree import FREE_SIZE, grow_trees
from semprune.evaluation.engine.tree_attention import TreeRows, visible

INPUTS = st.lists(
    st.lists(st.integers(0, 2), min_size=1, max_size=6).map(tuple).flatmap(
        lambda tokens: st.builds(
            lambda start: EncodedRequest(tokens, tuple(range(90, 90 + len(tokens) - start)), start),
            st.integers(0, len(tokens) - 1),
        )
    ),
    max_size=12,
)  # fmt: skip


def ancestors(tree, index):
    """Tokens from the root to a node, by walking depths backwards: not by ``reach``."""
    path, depth = [tree.tokens[index]], tree.depth[index]
    for earlier in range(index - 1, -1, -1):
        if tree.depth[earlier] == depth - 1:
            path.append(tree.tokens[earlier])
            depth -= 1
    return tuple(reversed(path))


@settings(deadline=None)
@given(INPUTS, st.booleans())
def test_every_target_is_predicted_by_the_end_of_its_own_text(requests, branching):
    trees = grow_trees(requests, branching=branching)
    assert sorted(index for tree in trees for index in tree.requests) == list(range(len(requests)))
    for tree in trees:
        seen = visible(TreeRows(torch.tensor([tree.depth]), torch.tensor([tree.reach])))[0]
        for index, positions in zip(tree.requests, tree.positions, strict=True):
            request = requests[index]
            assert len(positions) == len(request.targets)
            for step, position in enumerate(positions):
                text = request.input_ids[: request.start + step + 1]
                assert ancestors(tree, position) == text
                assert tuple(tree.tokens[i] for i in seen[position].nonzero()[:, 0].tolist()) == text
                assert tree.depth[position] == len(text) - 1


@settings(deadline=None)
@given(INPUTS)
def test_no_tree_holds_a_beginning_twice_and_no_path_begins_another(requests):
    for tree in grow_trees(requests, branching=True):
        paths = [ancestors(tree, index) for index in range(len(tree.tokens))]
        assert len(set(paths)) == len(paths)
    rows = [tree.tokens for tree in grow_trees(requests, branching=False)]
    assert all(tree.is_path for tree in grow_trees(requests, branching=False))
    assert not any(a != b and a == b[: len(a)] for a in rows for b in rows)
    assert len(set(rows)) == len(rows)


def request(tokens, start):
    return EncodedRequest(tuple(tokens), tuple(range(len(tokens) - start)), start)


def test_choices_of_one_context_share_it_however_long_they_are():
    context = [7, 8, 9]
    requests = [request([*context, *[choice] * 20], 2) for choice in (1, 2, 3)]
    [tree] = grow_trees(requests, branching=True)
    assert len(tree.tokens) == 3 + 3 * 20
    assert [len(tree.tokens) for tree in grow_trees(requests, branching=False)] == [23, 23, 23]


def test_different_contexts_share_only_what_is_worth_a_longer_row():
    most = [request([5] * 6 + [item] * 4, 9) for item in (1, 2)]  # 6 of 10 tokens
    few = [request([5] * 4 + [item] * 6, 9) for item in (1, 2)]  # 4 of 10
    assert [len(tree.tokens) for tree in grow_trees(most, branching=True)] == [14]
    assert [len(tree.tokens) for tree in grow_trees(few, branching=True)] == [10, 10]


def test_a_tree_stops_growing_at_twice_what_is_shared_or_at_the_callers_limit():
    shown = FREE_SIZE + 88  # examples before every item
    requests = [request([5] * shown + [item] * 100, shown + 99) for item in range(10, 20)]
    sizes = [len(tree.tokens) for tree in grow_trees(requests, branching=True)]
    assert sizes == [shown + 600, shown + 400]
    sizes = [len(tree.tokens) for tree in grow_trees(requests, branching=True, largest=shown + 250)]
    assert sizes == [shown + 200] * 5


def tokens_of(rows):
    return [[tree.tokens for tree in row] for row in rows]


def test_rows_are_filled_and_one_text_per_row_needs_no_mask():
    requests = [request([1, 2], 1), request([3, 4, 5], 1), request([3, 9], 0), request([6], 0)]
    [batch] = plan_batches(grow_trees(requests, branching=True), 100, branching=True)
    # 4 + 2 + 1 tokens: two rows of 4 leave one to pad; one of 7 none
    assert tokens_of(pack_rows(batch)) == [[(3, 4, 5, 9), (1, 2), (6,)]]
    paths = [tree for tree in batch if tree.is_path]
    assert tokens_of(pack_rows(paths)) == [[(1, 2)], [(6,)]]
    assert pack(paths, requests, 0).trees is None


@settings(deadline=None)
@given(st.lists(st.integers(1, 30), min_size=1, max_size=30))
def test_every_tree_has_a_place_and_rows_are_no_longer_than_twice_the_largest(sizes):
    sizes = sorted(sizes, reverse=True)
    requests = [request([100 + number] * size, 0) for number, size in enumerate(sizes)]
    requests.append(request([100] * (sizes[0] - 1) + [99] * 2, 0))  # the first one branches
    trees = sorted(grow_trees(requests, branching=True), key=lambda tree: -len(tree.tokens))
    rows = pack_rows(trees)
    assert sorted(tree.requests for row in rows for tree in row) == sorted(tree.requests for tree in trees)
    assert max(sum(len(tree.tokens) for tree in row) for row in rows) <= 2 * len(trees[0].tokens)
    alone = len(trees) * len(trees[0].tokens)
    assert len(rows) * max(sum(len(tree.tokens) for tree in row) for row in rows) <= alone


def test_batches_stay_within_the_budget_largest_first():
    trees = grow_trees([request([token] * size, 0) for token, size in enumerate((3, 9, 2, 8, 3))], branching=False)
    batches = plan_batches(trees, 18, branching=False)
    assert [[len(tree.tokens) for tree in batch] for batch in batches] == [[9, 8], [3, 3, 2]]
    shared = plan_batches(trees, 14, branching=True)  # 8 + 3 + 3 tokens fit, 8 + 8 + 8 would not
    assert [[len(tree.tokens) for tree in batch] for batch in shared] == [[9], [8, 3, 3], [2]]


def test_padding_sees_itself_only():
    requests = [request([1, 2, 3], 0), request([1, 9], 0), request([4, 5, 6], 0), request([7, 8], 0)]
    batch = pack(sorted(grow_trees(requests, branching=True), key=lambda tree: -len(tree.tokens)), requests, 0)
    assert batch.input_ids.tolist() == [[1, 2, 3, 9, 0], [4, 5, 6, 7, 8]]
    first, second = visible(batch.trees).long().tolist()
    assert first == [[1, 0, 0, 0, 0], [1, 1, 0, 0, 0], [1, 1, 1, 0, 0], [1, 0, 0, 1, 0], [0, 0, 0, 0, 1]]
    assert second == [[1, 0, 0, 0, 0], [1, 1, 0, 0, 0], [1, 1, 1, 0, 0], [0, 0, 0, 1, 0], [0, 0, 0, 1, 1]]
    assert batch.trees.depth.tolist() == [[0, 1, 2, 1, 0], [0, 1, 2, 0, 1]]
    assert visible(batch.trees, window=1)[0].long().tolist() == torch.eye(5).long().tolist()
