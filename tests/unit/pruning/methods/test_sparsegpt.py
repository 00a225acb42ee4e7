"""SparseGPT: the published code bit for bit, closed forms, exact counts, and errors instead of another algorithm."""

import copy
import importlib
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.golden import published

from semprune.errors import NotPositiveDefiniteError, SettingError
from semprune.pruning import find_method, prune_model
from semprune.pruning.selection.keep import keeper
from semprune.pruning.statistics.second_moments import RunningSecondMoments, SecondMoments
from semprune.pruning.weights.brain_surgeon import inverse_factor
from semprune.types import LayerStats

prune = find_method("sparsegpt").prune


def stats_of(inputs, kind=SecondMoments):
    gathered = kind(inputs.shape[-1])
    gathered.update(inputs, None)
    return gathered.result()


def correlated(width, tokens=64, seed=0):
    generator = torch.Generator().manual_seed(seed)
    mixing = torch.eye(width) + 0.4 * torch.randn(width, width, generator=generator) / width**0.5
    return torch.randn(4, tokens // 4, width, generator=generator) @ mixing


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize(("pattern", "goes"), [(None, (0, 0)), ("2:4", (2, 4)), ("4:8", (4, 8)), ("1:4", (3, 4))])
@pytest.mark.parametrize("sparsity", [0.5, 0.3])
def test_reference_equals_the_published_code_bit_for_bit(dtype, pattern, goes, sparsity):
    torch.manual_seed(0)
    weight, inputs = torch.randn(40, 320).to(dtype), correlated(320, 512)
    inputs[..., 7] = 0  # a dead input
    stats = stats_of(inputs, RunningSecondMoments)
    kept, updated = published.sparsegpt(weight, stats.second_moments, sparsity, *goes)
    decision = prune(weight, stats, keeper("reference", sparsity, pattern))

    assert torch.equal(decision.kept, kept)
    assert torch.equal(decision.weight.to(dtype), updated)


def test_one_row_two_inputs_by_hand():
    """H = [[2, 1], [1, 2]] undamped. w = (1, 3): the first goes, and the second becomes 3 + 1/2.

    The best remaining weight minimises (w - w')H(w - w')ᵀ with w'₁ = 0: w'₂ = w₂ + w₁ H₁₂ / H₂₂.
    """
    method = find_method("sparsegpt").with_options({"damping": 0.0})
    stats = LayerStats(torch.tensor([1.0, 1.0]), 1, 1, second_moments=torch.tensor([[2.0, 1.0], [1.0, 2.0]]))
    decision = method.prune(torch.tensor([[1.0, 3.0]]), stats, keeper("exact", 0.5))

    assert decision.kept.tolist() == [[False, True]]
    assert decision.weight.tolist() == [[0.0, pytest.approx(3.5)]]


def test_columns_to_the_right_are_the_least_squares_answer():
    """With the first columns gone from every row, what is left solves least squares exactly (closed form)."""
    torch.manual_seed(0)
    inputs = correlated(6, 400)
    weight = torch.cat([1e-3 * torch.randn(5, 3), torch.randn(5, 3) + 3], dim=1)  # the first three go
    method = find_method("sparsegpt").with_options({"damping": 0.0})
    decision = method.prune(weight, stats_of(inputs), keeper("exact", 0.5))
    tokens = inputs.reshape(-1, 6).double()
    best = torch.linalg.lstsq(tokens[:, 3:], tokens @ weight.double().t()).solution.t()

    assert not decision.kept[:, :3].any()
    assert torch.allclose(decision.weight[:, 3:].double(), best, atol=1e-4)


@given(st.integers(0, 99), st.sampled_from([1, 3, 8, 128]), st.integers(0, 5))
@settings(deadline=None)
def test_exact_prunes_the_asked_number_of_the_matrix_whatever_the_blocks(percent, block, seed):
    torch.manual_seed(seed)
    weight, method = torch.randn(5, 13), find_method("sparsegpt").with_options({"block": block})
    decision = method.prune(weight, stats_of(correlated(13)), keeper("exact", percent / 100))

    assert (~decision.kept).sum() == 5 * 13 * percent // 100
    assert not decision.weight[~decision.kept].any() if decision.weight is not None else percent == 0


@pytest.mark.parametrize(("pattern", "kept"), [("2:4", 2), ("4:8", 4), ("1:4", 1), ("3:4", 3)])
@pytest.mark.parametrize("selection", ["exact", "reference"])
def test_every_run_keeps_n(pattern, kept, selection):
    torch.manual_seed(0)
    stats = stats_of(correlated(32), SecondMoments if selection == "exact" else RunningSecondMoments)
    decision = prune(torch.randn(7, 32), stats, keeper(selection, 0, pattern))

    run = int(pattern.split(":")[1])
    assert decision.kept.reshape(7, -1, run).sum(-1).unique().tolist() == [kept]
    assert torch.equal(decision.weight != 0, decision.kept)


def test_a_pattern_is_chosen_from_updated_weights_when_its_run_is_reached():
    """The first run's loss moves the second run's weights: chosen up front, another weight would have gone."""
    moments = torch.eye(4) * 2
    moments[0, 2] = moments[2, 0] = 1.9
    weight = torch.tensor([[1.0, 5.0, 0.1, 0.5]])
    method = find_method("sparsegpt").with_options({"damping": 0.0})
    decision = method.prune(weight, LayerStats(torch.ones(4), 1, 1, second_moments=moments), keeper("exact", 0, "1:2"))

    assert decision.kept.tolist() == [[False, True, True, False]]  # 0.1 became 0.1 + 0.95
    assert decision.weight[0, 2] == pytest.approx(1.05)


@given(st.integers(-4, 4), st.integers(-3, 3), st.sampled_from([None, "2:4"]))
@settings(deadline=None)
def test_scale_of_weights_or_inputs_does_not_change_the_mask(weight_power, input_power, pattern):
    torch.manual_seed(0)
    weight, inputs, keep = torch.randn(6, 16), correlated(16), keeper("exact", 0.5, pattern)
    expected = prune(weight, stats_of(inputs), keep)
    scaled = prune(weight * 2.0**weight_power, stats_of(inputs * 2.0**input_power), keep)

    assert torch.equal(scaled.kept, expected.kept)
    assert torch.equal(scaled.weight, expected.weight * 2.0**weight_power)


def test_rows_of_a_pattern_do_not_know_each_other():
    torch.manual_seed(0)
    weight, stats, order = torch.randn(6, 16), stats_of(correlated(16)), [3, 1, 5, 0, 2, 4]
    keep = keeper("exact", 0, "2:4")

    assert torch.equal(prune(weight[order], stats, keep).kept, prune(weight, stats, keep).kept[order])


def test_exact_ties_go_row_by_row():
    stats = LayerStats(torch.ones(4), 1, 1, second_moments=torch.eye(4))
    decision = prune(torch.ones(2, 4), stats, keeper("exact", 0.5))

    assert decision.kept.tolist() == [[False] * 4, [True] * 4]


def test_trap_published_threshold_prunes_too_many_where_losses_tie():
    stats = LayerStats(torch.ones(4), 1, 1, torch.ones(4), torch.eye(4))

    assert prune(torch.tensor([[1.0, 1.0, 1.0, 2.0]]), stats, keeper("reference", 0.5)).kept.sum() == 1
    assert prune(torch.tensor([[1.0, 1.0, 1.0, 2.0]]), stats, keeper("exact", 0.5)).kept.sum() == 2


def test_dead_inputs_lose_their_weights():
    inputs = correlated(8)
    inputs[..., 2] = 0
    decision = prune(torch.randn(4, 8), stats_of(inputs), keeper("exact", 0.25))

    assert not decision.weight[:, 2].any()
    assert not decision.kept[:, 2].any()  # their losses are 0: they go first


def test_sparsity_zero_leaves_the_weight_alone():
    decision = prune(torch.randn(3, 8), stats_of(correlated(8)), keeper("exact", 0.0))

    assert decision.kept.all()
    assert decision.weight is None


def test_it_loses_less_than_magnitude_and_wanda():
    """Planted truth: the layer's squared error on its own calibration."""
    torch.manual_seed(0)
    weight = torch.randn(32, 64)
    inputs = torch.randn(4, 256, 16) @ torch.randn(16, 64) + 0.1 * torch.randn(4, 256, 64)  # nearly of rank 16
    stats, keep = stats_of(inputs), keeper("exact", 0.5)
    tokens = inputs.reshape(-1, 64)
    errors = {}
    for name in ("magnitude", "wanda", "sparsegpt"):
        decision = find_method(name).prune(weight, stats, keep)
        pruned = weight * decision.kept if decision.weight is None else decision.weight
        errors[name] = (tokens @ (weight - pruned).t()).square().mean().item()

    assert errors["sparsegpt"] < 0.2 * min(errors["magnitude"], errors["wanda"])


def test_matrices_of_one_input_are_inverted_once(monkeypatch):
    calls = []
    monkeypatch.setattr(
        importlib.import_module("semprune.pruning.methods.sparsegpt"),
        "inverse_factor",
        lambda *args, **options: (calls.append(args[2]), inverse_factor(*args, **options))[1],
    )
    weights = {"q": torch.randn(4, 8), "k": torch.randn(2, 8)}
    stats, keep = stats_of(correlated(8)), keeper("exact", 0.5)
    keeps = {name: replace(keep, outputs=torch.rand(len(weight))) for name, weight in weights.items()}
    together = dict(find_method("sparsegpt").prune_together(weights, stats, keeps))

    assert calls == ["q"]
    for name, weight in weights.items():
        alone = prune(weight, stats, keeps[name])
        assert torch.equal(together[name].kept, alone.kept)
        assert torch.equal(together[name].weight, alone.weight)


def test_losses_of_rows_are_compared_by_what_hangs_on_them():
    """Within a block, where nothing has been made up for yet: `w² / U² · (g / mean g)^½`."""
    weight, stats, outputs = torch.randn(6, 8), stats_of(correlated(8)), torch.tensor([0.0, 1, 2, 4, 8, 9])
    upper, _ = inverse_factor(stats.second_moments, 0.01, "w")
    losses = (weight / upper.diagonal()) ** 2 * (outputs / outputs.mean()).clamp(min=1e-4).sqrt()[:, None]
    expected = torch.zeros(48, dtype=torch.bool)
    expected[losses.flatten().argsort()[24:]] = True
    keep = keeper("exact", 0.5)
    kept = prune(weight, stats, replace(keep, outputs=outputs)).kept
    assert torch.equal(kept, expected.view(6, 8))
    assert not torch.equal(kept, prune(weight, stats, keep).kept)


@pytest.mark.parametrize("pattern", [None, "2:4", "4:8", "1:32"])
@pytest.mark.parametrize("step", [1, 5, 64])
def test_how_many_columns_are_updated_at_once_changes_rounding_only(monkeypatch, pattern, step):
    torch.manual_seed(0)
    weights = {"gate": torch.randn(9, 192), "up": torch.randn(30, 192)}
    stats, keep = stats_of(correlated(192, 800)), keeper("exact", 0.5, pattern)
    keeps = dict.fromkeys(weights, keep)
    expected = dict(find_method("sparsegpt").prune_together(weights, stats, keeps))
    monkeypatch.setattr(importlib.import_module("semprune.pruning.weights.brain_surgeon"), "STEP", step)
    for name, decision in find_method("sparsegpt").prune_together(weights, stats, keeps):
        assert torch.equal(decision.kept, expected[name].kept), name
        assert torch.allclose(decision.weight, expected[name].weight, atol=1e-5)
        assert decision.kept.float().mean() == (1 / 32 if pattern == "1:32" else 0.5)


def test_trap_a_failed_cholesky_is_an_error_and_never_the_identity():
    moments = torch.tensor([[1.0, 2.0], [2.0, 1.0]])  # eigenvalues 3 and -1
    with pytest.raises(NotPositiveDefiniteError, match=r"input of down_proj are not positive definite with damping 0"):
        inverse_factor(moments, 0.01, "down_proj")
    with pytest.raises(NotPositiveDefiniteError, match="larger damping"):
        prune(torch.ones(1, 2), LayerStats(torch.ones(2), 1, 1, second_moments=moments), keeper("exact", 0.5))


def test_singular_moments_need_damping():
    token = torch.tensor([[[1.0, 2.0, 3.0, 4.0]]])  # one token: rank 1
    method = find_method("sparsegpt")
    with pytest.raises(NotPositiveDefiniteError, match=r"damping 0: .*Pass a larger damping \(for example 0.01\)"):
        method.with_options({"damping": 0.0}).prune(torch.randn(2, 4), stats_of(token), keeper("exact", 0.5))

    assert method.prune(torch.randn(2, 4), stats_of(token), keeper("exact", 0.5)).kept.sum() == 4


def test_the_inverse_factor_leaves_the_moments_alone_and_squares_to_the_inverse():
    moments = stats_of(correlated(8)).second_moments
    before = moments.clone()
    upper, _ = inverse_factor(moments, 0.0, "w")

    assert torch.equal(moments, before)
    assert torch.allclose(upper.t() @ upper @ moments, torch.eye(8), atol=1e-4)
    assert torch.equal(upper, upper.triu())


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"damping": -0.1}, "damping must be ≥ 0"),
        ({"damping": float("nan")}, "damping must be ≥ 0"),
        ({"block": 0}, "block must be a whole number of columns"),
        ({"block": 2.5}, "block must be a whole number of columns"),
        ({"exponent": 1}, r"option of method 'sparsegpt' must be one that it has \(damping, block\), got 'exponent'"),
    ],
)
def test_bad_options_are_refused(options, match):
    with pytest.raises(SettingError, match=match):
        find_method("sparsegpt").with_options(options)


def test_runs_across_blocks_are_refused_before_anything_changes(llama, input_ids):
    before = copy.deepcopy(llama.state_dict())
    with pytest.raises(SettingError, match=r"block must be a multiple of the M of pattern 2:4.*got 6"):
        prune_model(llama, input_ids, method="sparsegpt", pattern="2:4", block=6)

    assert all(torch.equal(value, before[name]) for name, value in llama.state_dict().items())


@pytest.mark.parametrize("statistics", ["sequential", "dense"])
@pytest.mark.parametrize("selection", ["exact", "reference"])
def test_a_model_is_pruned_like_its_layers_by_hand(llama, input_ids, statistics, selection):
    """Whole forwards with hooks, block after block, and the method by itself."""
    twin, keep, masks = copy.deepcopy(llama), keeper(selection, 0.5), {}
    kind = SecondMoments if selection == "exact" else RunningSecondMoments
    dense = None
    for block in (0, 1):
        if dense is None or statistics == "sequential":
            dense = inputs_of(twin, input_ids)
        for name in [name for name in dense if f".layers.{block}." in name]:
            gathered = kind(dense[name].shape[-1])
            for sequence in dense[name]:
                gathered.update(sequence.unsqueeze(0), None)
            module = twin.get_submodule(name)
            decision = prune(module.weight.data, gathered.result(), keep)
            module.weight.data = decision.weight
            masks[name] = decision.kept

    settings = {"sparsity": 0.5, "statistics": statistics, "selection": selection, "batch_size": 1}
    report = prune_model(llama, input_ids, method="sparsegpt", **settings)

    assert report.masks.keys() == masks.keys()
    for name, mask in masks.items():
        assert torch.equal(report.masks[name], mask), name
        assert torch.equal(llama.get_submodule(name).weight, twin.get_submodule(name).weight), name
    assert report.settings == {**settings, "damping": 0.01, "block": 128}


def inputs_of(model, input_ids):
    names = [
        name for name, module in model.named_modules() if ".layers." in name and isinstance(module, torch.nn.Linear)
    ]
    seen = {name: [] for name in names}
    hooks = [
        model.get_submodule(name).register_forward_pre_hook(lambda _, args, name=name: seen[name].append(args[0][0]))
        for name in names
    ]
    with torch.no_grad():
        for row in input_ids:
            model(row.unsqueeze(0), use_cache=False)
    for hook in hooks:
        hook.remove()
    return {name: torch.stack(each) for name, each in seen.items()}


def test_a_pruned_conv1d_model_is_exactly_sparse(gpt2, input_ids):
    report = prune_model(gpt2, input_ids, method="sparsegpt", pattern="2:4")

    for name, mask in report.masks.items():
        weight = gpt2.get_submodule(name).weight
        assert torch.equal(weight != 0, mask)
        assert mask.t().reshape(mask.shape[1], -1, 4).sum(-1).unique().tolist() == [2]


def test_updated_weights_keep_the_models_dtype(llama, input_ids):
    llama.to(torch.bfloat16)
    before = llama.model.layers[0].self_attn.q_proj.weight.clone()
    report = prune_model(llama, input_ids, method="sparsegpt", sparsity=0.5)
    after = llama.model.layers[0].self_attn.q_proj.weight

    assert after.dtype == torch.bfloat16
    assert not torch.equal(after, before * report.masks["model.layers.0.self_attn.q_proj"])
