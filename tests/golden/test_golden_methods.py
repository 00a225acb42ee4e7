"""Every method, pattern, selection and tie case against the slow float64 reference, on small matrices."""

import pytest
import torch
from tests.golden import slow_reference as slow

from semprune.pruning import find_method
from semprune.pruning.selection.keep import keeper
from semprune.pruning.statistics.gathering import ACCUMULATORS

ROWS, WIDTH, BLOCK = 6, 16, 8
CLEAR = 1e-4  # relative distance of scores on the two sides of a cut that fp32 cannot turn round
PATTERNS = {"unstructured": None, "2:4": (2, 4), "4:8": (4, 8), "1:4": (1, 4)}
METHODS = ["magnitude", "wanda", "ria", "sparsegpt"]
GROUPS = {"magnitude": "matrix", "wanda": "row", "ria": "matrix"}


def distinct_problem(seed):
    """Weights and four sequences of different lengths; no two scores alike."""
    generator = torch.Generator().manual_seed(seed)
    weight = torch.randn(ROWS, WIDTH, generator=generator)
    scales = torch.rand(WIDTH, generator=generator) * 3 + 0.1
    mixing = torch.randn(WIDTH, WIDTH, generator=generator) * 0.3 + torch.eye(WIDTH)
    lengths = [5, 9, 3, 14]
    return weight, [(torch.randn(length, WIDTH, generator=generator) * scales) @ mixing for length in lengths]


def tied_problem(seed):
    """Few values everywhere, and inputs that are orthogonal and of one norm: scores tie exactly, also in fp32.

    All columns of the weight sum to the same, and all rows but the last.
    """
    generator = torch.Generator().manual_seed(seed)
    values = torch.tensor([1.0, 1.0, 2.0, 2.0, 2.0, 3.0, 1.0, 3.0] * 2)
    weight = torch.stack([values.roll(shift) for shift in torch.randperm(WIDTH, generator=generator)[:ROWS].tolist()])
    signs = torch.randint(0, 2, weight.shape, generator=generator) * 2.0 - 1
    columns = weight.sum(0)
    if columns.unique().numel() > 1:  # one more row makes all columns sum to the same
        weight[-1] += columns.max() - columns
    return weight * signs, [torch.eye(WIDTH) * 2, torch.eye(WIDTH) * 2]


def expected(method, weight, sequences, selection, sparsity, pattern):
    rows, tokens = weight.double().tolist(), [sequence.double().tolist() for sequence in sequences]
    if method == "sparsegpt":
        return slow.sparsegpt(rows, slow.hessian(tokens), selection, sparsity, pattern, block=BLOCK)
    scores = {
        "magnitude": lambda: slow.magnitude(rows),
        "wanda": lambda: slow.wanda(rows, slow.squares(tokens)),
        "ria": lambda: slow.ria(rows, slow.squares(tokens)),
    }[method]()
    return slow.select(scores, GROUPS[method], selection, sparsity, pattern)


def decided(method, weight, sequences, selection, sparsity, pattern):
    found = find_method(method)
    stats = None
    if method == "sparsegpt":
        found = found.with_options({"block": BLOCK})
    if found.needs_statistics:
        accumulator = ACCUMULATORS[found.needs, selection](WIDTH, "cpu")
        for sequence in sequences:
            accumulator.update(sequence.unsqueeze(0), None)
        stats = accumulator.result()
    return found.prune(weight, stats, keeper(selection, sparsity, pattern))


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("selection", ["exact", "reference"])
@pytest.mark.parametrize("pattern", PATTERNS)
@pytest.mark.parametrize("sparsity", [0.5, 0.3])
def test_masks_equal_the_slow_reference_where_no_scores_tie(method, selection, pattern, sparsity):
    clear = 0
    for seed in range(12):
        weight, sequences = distinct_problem(seed)
        reference = expected(method, weight, sequences, selection, sparsity, PATTERNS[pattern])
        if reference.margin < CLEAR:
            continue
        clear += 1
        decision = decided(
            method, weight, sequences, selection, sparsity, None if pattern == "unstructured" else pattern
        )
        assert decision.kept.tolist() == reference.kept
        if method == "sparsegpt":
            assert torch.allclose(decision.weight.double(), torch.tensor(reference.weight).double(), 1e-3, 1e-4)
        else:
            assert decision.weight is None
    assert clear >= 4


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("pattern", PATTERNS)
@pytest.mark.parametrize("sparsity", [0.5, 0.3])
def test_exact_masks_equal_the_slow_reference_where_scores_tie(method, pattern, sparsity):
    for seed in range(4):
        weight, sequences = tied_problem(seed)
        reference = expected(method, weight, sequences, "exact", sparsity, PATTERNS[pattern])
        decision = decided(method, weight, sequences, "exact", sparsity, None if pattern == "unstructured" else pattern)
        assert decision.kept.tolist() == reference.kept


@pytest.mark.parametrize("method", METHODS)
def test_reference_masks_equal_the_slow_reference_where_scores_tie(method):
    for seed in range(4):
        weight, sequences = tied_problem(seed)
        reference = expected(method, weight, sequences, "reference", 0.5, None)
        assert decided(method, weight, sequences, "reference", 0.5, None).kept.tolist() == reference.kept
        if method != "wanda":  # thresholds take all equals; Wanda sorts
            assert sum(map(sum, reference.kept)) < ROWS * WIDTH // 2


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("pattern", ["2:4", "4:8", "1:4"])
def test_reference_patterns_take_the_lowest_scores_of_each_run_where_scores_tie(method, pattern):
    """Which of several equal scores goes is ``topk``'s affair: only the scores themselves can be compared."""
    kept, run = PATTERNS[pattern]
    for seed in range(4):
        weight, sequences = tied_problem(seed)
        reference = expected(method, weight, sequences, "reference", 0.5, PATTERNS[pattern])
        mask = decided(method, weight, sequences, "reference", 0.5, pattern).kept
        assert mask.reshape(ROWS, -1, run).sum(-1).unique().tolist() == [kept]
        for ours, theirs, row in zip(mask.tolist(), reference.kept, weight.abs().tolist(), strict=True):
            for start in range(0, WIDTH, run):
                cells = range(start, start + run)
                assert sorted(row[j] for j in cells if ours[j]) == sorted(row[j] for j in cells if theirs[j])


def test_the_slow_reference_itself_inverts():
    matrix = [[4.0, 1.0, 0.5], [1.0, 3.0, 0.2], [0.5, 0.2, 2.0]]
    product = torch.tensor(slow.inverse(matrix)).double() @ torch.tensor(matrix).double()
    upper, dead = slow.upper_factor(matrix, 0.0)
    factor = torch.tensor(upper).double()

    assert torch.allclose(product, torch.eye(3).double(), atol=1e-6)
    assert torch.allclose(factor.t() @ factor @ torch.tensor(matrix).double(), torch.eye(3).double(), atol=1e-6)
    assert dead == []
