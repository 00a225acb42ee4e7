"""N:M patterns: N of each M consecutive inputs stay."""

import copy

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from semprune.errors import EmptyMatrixError, SettingError
from semprune.pruning import prune_model
from semprune.pruning.selection.keep import keeper
from semprune.pruning.selection.pattern import Pattern, select_pattern_exact, select_pattern_reference

PATTERNS = st.sampled_from([(2, 4), (4, 8), (1, 4), (1, 2), (3, 5), (5, 6)])


@st.composite
def problems(draw, distinct=False):
    """A pattern and small scores of whole runs; few different values, so that ties are everywhere, or none alike."""
    kept, run = draw(PATTERNS)
    rows, columns = draw(st.integers(1, 4)), run * draw(st.integers(1, 3))
    count = rows * columns
    values = draw(
        st.permutations(range(count)) if distinct else st.lists(st.integers(0, 3), min_size=count, max_size=count)
    )
    return torch.tensor(values, dtype=torch.float32).reshape(rows, columns), Pattern(kept, run)


def slow_pattern(score, kept, run):
    """Loops over Python floats: of each run the ``run - kept`` lowest go, the first ones among equals."""
    rows = []
    for row in score.double().tolist():
        keep = []
        for start in range(0, len(row), run):
            members = sorted((value, index) for index, value in enumerate(row[start : start + run]))
            gone = {index for _, index in members[: run - kept]}
            keep += [index not in gone for index in range(run)]
        rows.append(keep)
    return torch.tensor(rows)


@given(problems())
def test_exact_equals_a_slow_loop_in_every_tie_case(problem):
    score, pattern = problem

    assert torch.equal(select_pattern_exact(score, pattern), slow_pattern(score, pattern.kept, pattern.run))


@given(problems(distinct=True))
def test_reference_equals_a_slow_loop_where_nothing_ties(problem):
    score, pattern = problem

    assert torch.equal(select_pattern_reference(score, pattern), slow_pattern(score, pattern.kept, pattern.run))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize(("kept", "run"), [(2, 4), (4, 8), (1, 4)])
def test_reference_is_the_published_loop_over_runs_also_where_scores_tie(kept, run, dtype):
    torch.manual_seed(0)
    score = torch.randn(64, 48).mul(3).round().abs().to(dtype)
    gone = torch.zeros(score.shape, dtype=torch.bool)
    for start in range(0, score.shape[1], run):
        lowest = torch.topk(score[:, start : start + run].float(), run - kept, dim=1, largest=False)[1]
        gone.scatter_(1, start + lowest, True)

    assert torch.equal(select_pattern_reference(score, Pattern(kept, run)), ~gone)


@given(problems())
def test_every_run_keeps_exactly_n_in_both_selections(problem):
    score, pattern = problem
    for select in (select_pattern_exact, select_pattern_reference):
        counts = select(score, pattern).reshape(score.shape[0], -1, pattern.run).sum(-1)
        assert counts.unique().tolist() == [pattern.kept]


@given(problems(), st.integers(-20, 20))
def test_exact_does_not_depend_on_the_scale(problem, power):
    score, pattern = problem

    assert torch.equal(select_pattern_exact(score, pattern), select_pattern_exact(score * 2.0**power, pattern))


@given(problems())
def test_exact_is_idempotent(problem):
    score, pattern = problem
    kept = select_pattern_exact(score + 1, pattern)

    assert torch.equal(select_pattern_exact((score + 1) * kept, pattern), kept)


@given(problems(distinct=True), st.randoms(use_true_random=False))
def test_exact_follows_a_permutation_of_rows_runs_and_columns_inside_runs(problem, random):
    score, pattern = problem
    rows, runs = list(range(score.shape[0])), list(range(score.shape[1] // pattern.run))
    random.shuffle(rows)
    random.shuffle(runs)
    columns = []
    for start in runs:
        inside = list(range(start * pattern.run, (start + 1) * pattern.run))
        random.shuffle(inside)
        columns += inside

    moved = select_pattern_exact(score[rows][:, columns], pattern)

    assert torch.equal(moved, select_pattern_exact(score, pattern)[rows][:, columns])


@given(problems())
def test_keeping_fewer_of_each_run_only_removes(problem):
    score, pattern = problem
    if pattern.kept > 1:
        fewer = select_pattern_exact(score, Pattern(pattern.kept - 1, pattern.run))
        assert not (fewer & ~select_pattern_exact(score, pattern)).any()


def test_n_is_the_number_that_stays():
    score = torch.tensor([[1.0, 2.0, 3.0, 4.0]])

    assert keeper("exact", 0, "1:4")(score, "row").tolist() == [[False, False, False, True]]
    assert keeper("exact", 0, "3:4")(score, "row").tolist() == [[False, True, True, True]]
    assert (Pattern.parse("1:4").sparsity, Pattern.parse("3:4").sparsity) == (0.75, 0.25)


@pytest.mark.parametrize("text", ["2:4:8", "4:2", "4:4", "0:4", "-1:4", "2/4", "a:b", "", "2 : 4", 0.5])
def test_what_is_no_pattern_is_refused(text):
    with pytest.raises(SettingError, match="pattern must be N:M with 0 < N < M"):
        Pattern.parse(text)


@pytest.mark.parametrize("method", ["magnitude", "wanda"])
@pytest.mark.parametrize("selection", ["exact", "reference"])
@pytest.mark.parametrize("pattern", ["2:4", "4:8", "1:4"])
def test_a_pruned_model_has_the_pattern_in_every_matrix(llama, input_ids, method, selection, pattern):
    kept, run = map(int, pattern.split(":"))
    report = prune_model(llama, input_ids, method=method, pattern=pattern, selection=selection)

    for name in report.masks:
        nonzero = llama.get_submodule(name).weight != 0
        counts = nonzero.reshape(nonzero.shape[0], -1, run).sum(-1)
        assert counts.unique().tolist() == [kept], name
    assert report.total_sparsity == pytest.approx(1 - kept / run)
    assert report.settings["pattern"] == pattern
    assert "sparsity" not in report.settings
    assert set(report.patterned.values()) == {True}
    assert report.orders == {}


def test_conv1d_has_the_pattern_along_its_inputs(gpt2, input_ids):
    report = prune_model(gpt2, input_ids, method="wanda", pattern="2:4")

    for name, mask in report.masks.items():
        counts = mask.t().reshape(mask.shape[1], -1, 4).sum(-1)
        assert counts.unique().tolist() == [2], name


def test_wanda_with_a_pattern_equals_its_scores_by_hand(llama, input_ids):
    seen = []
    hook = llama.model.layers[0].mlp.gate_proj.register_forward_pre_hook(lambda _, args: seen.append(args[0].double()))
    twin_weight = llama.model.layers[0].mlp.gate_proj.weight.double()
    with torch.no_grad():
        llama(input_ids, use_cache=False)
    hook.remove()
    score = twin_weight.abs() * torch.cat([one.flatten(0, 1) for one in seen]).square().sum(0).sqrt()
    report = prune_model(llama, input_ids, method="wanda", pattern="4:8")

    assert torch.equal(report.masks["model.layers.0.mlp.gate_proj"], slow_pattern(score, 4, 8))


def test_a_run_that_does_not_divide_is_refused_before_anything_changes(llama, input_ids):
    before = copy.deepcopy(llama.state_dict())
    with pytest.raises(SettingError, match=r"divides the 16 inputs of model\.layers\.0\.self_attn\.q_proj.*got '3:5'"):
        prune_model(llama, input_ids, method="wanda", pattern="3:5")
    with pytest.raises(SettingError, match=r"the 24 inputs of model\.layers\.0\.mlp\.down_proj.*got '8:16'"):
        prune_model(llama, input_ids, method="wanda", pattern="8:16")

    assert all(torch.equal(value, before[name]) for name, value in llama.state_dict().items())


@pytest.mark.parametrize(
    ("amount", "got"), [({}, "neither"), ({"sparsity": 0.5, "pattern": "2:4"}, "sparsity 0.5 and 2:4")]
)
def test_exactly_one_of_sparsity_and_pattern_is_given(llama, input_ids, amount, got):
    with pytest.raises(SettingError, match=f"sparsity or pattern must be given, exactly one of the two, got '{got}'"):
        prune_model(llama, input_ids, method="wanda", **amount)


def test_an_option_that_the_method_does_not_have_is_refused(llama, input_ids):
    with pytest.raises(SettingError, match=r"option of method 'wanda' must be one that it has \(none\), got 'damping'"):
        prune_model(llama, input_ids, method="wanda", sparsity=0.5, damping=0.1)


def test_a_matrix_that_the_published_threshold_would_empty_is_refused(llama):
    llama.model.layers[0].mlp.up_proj.weight.data.fill_(0.5)
    with pytest.raises(EmptyMatrixError, match=r"no weight of model\.layers\.0\.mlp\.up_proj"):
        prune_model(llama, None, method="magnitude", sparsity=0.5, selection="reference")

    assert (llama.model.layers[0].mlp.up_proj.weight == 0.5).all()
    assert prune_model(llama, None, method="magnitude", sparsity=0.5).sparsity["model.layers.0.mlp.up_proj"] == 0.5
