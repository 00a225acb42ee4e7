"""Pruning a model in place: which weights go, what is looked at, what is refused."""

import copy
import logging
import math

import pytest
import torch
from torch import nn
from transformers import LlamaForCausalLM

from semprune.errors import (
    EmptyCalibrationError,
    NonFiniteError,
    SettingError,
    SparsityRangeError,
    UnknownArchitectureError,
    UnknownMethodError,
)
from semprune.io.bits import hash_masks
from semprune.pruning import prune_model

LLAMA_ORDER = ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj")
LLAMA_MATRICES = (*LLAMA_ORDER, "mlp.gate_proj", "mlp.up_proj", "mlp.down_proj")


def matrices_of(model, block):
    return {
        f"model.layers.{block}.{path}": model.get_submodule(f"model.layers.{block}.{path}") for path in LLAMA_MATRICES
    }


def inputs_in_full_forward(model, modules, input_ids):
    """What each module reads when the whole model runs, one sequence at a time: ``[tokens, in]`` per sequence."""
    seen = {name: [] for name in modules}
    hooks = [
        module.register_forward_pre_hook(lambda _, args, name=name: seen[name].append(args[0][0].clone()))
        for name, module in modules.items()
    ]
    with torch.no_grad():
        for row in input_ids:
            model(row.unsqueeze(0), use_cache=False)
    for hook in hooks:
        hook.remove()
    return seen


def wanda_mask(weight, norms, sparsity):
    """The published rule: per row, the first ``int(in * sparsity)`` of a stable sort go."""
    metric = torch.abs(weight) * norms.reshape(1, -1)
    kept = torch.ones_like(metric, dtype=torch.bool)
    order = torch.sort(metric, dim=-1, stable=True)[1][:, : int(metric.shape[1] * sparsity)]
    return kept.scatter_(1, order, False)


def published_norms(sequences):
    mean = torch.zeros(sequences[0].shape[-1])
    for seen, sequence in enumerate(sequences):
        mean *= seen / (seen + 1)
        mean += torch.norm(sequence.t().type(torch.float32), p=2, dim=1) ** 2 / (seen + 1)
    return torch.sqrt(mean)


def float64_norms(sequences):
    return torch.cat(sequences).double().square().sum(0).sqrt()


def wanda_by_hand(model, input_ids, sparsity, norms, *, sequential):
    """Whole forwards with hooks, block after block; prunes the model in place and returns the masks."""
    dense = {**matrices_of(model, 0), **matrices_of(model, 1)}
    seen = {} if sequential else inputs_in_full_forward(model, dense, input_ids)
    masks = {}
    for block in (0, 1):
        modules = matrices_of(model, block)
        inputs = inputs_in_full_forward(model, modules, input_ids) if sequential else seen
        for name, module in modules.items():
            masks[name] = wanda_mask(module.weight.data.to(norms(inputs[name]).dtype), norms(inputs[name]), sparsity)
            module.weight.data *= masks[name]
    return masks


@pytest.mark.parametrize("statistics", ["sequential", "dense"])
def test_wanda_equals_whole_forwards_by_hand(llama, input_ids, statistics):
    twin = copy.deepcopy(llama)
    expected = wanda_by_hand(twin, input_ids, 0.5, float64_norms, sequential=statistics == "sequential")

    report = prune_model(llama, input_ids, method="wanda", sparsity=0.5, statistics=statistics, batch_size=2)

    assert report.masks.keys() == expected.keys()
    assert all(torch.equal(report.masks[name], expected[name]) for name in expected)
    assert all(torch.equal(a, b) for a, b in zip(llama.parameters(), twin.parameters(), strict=True))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("sparsity", [0.3, 0.5])
def test_wanda_reference_is_bit_equal_to_the_published_rule(llama, input_ids, sparsity, dtype):
    llama.to(dtype)
    expected = wanda_by_hand(copy.deepcopy(llama), input_ids, sparsity, published_norms, sequential=True)

    report = prune_model(llama, input_ids, method="wanda", sparsity=sparsity, selection="reference")

    assert hash_masks(report.masks) == hash_masks(expected)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_magnitude_reference_is_bit_equal_to_the_published_rule(llama, dtype):
    llama.to(dtype)
    expected = {}
    for name, module in {**matrices_of(llama, 0), **matrices_of(llama, 1)}.items():
        metric = torch.abs(module.weight.data)
        threshold = torch.sort(metric.flatten())[0][int(metric.numel() * 0.5)]
        expected[name] = ~(metric <= threshold)

    report = prune_model(llama, None, method="magnitude", sparsity=0.5, selection="reference")

    assert hash_masks(report.masks) == hash_masks(expected)
    assert report.sparsity["model.layers.0.mlp.down_proj"] > 0.5  # the published threshold goes with its equals


def test_sequential_statistics_differ_from_dense(make_llama, input_ids):
    sequential = prune_model(make_llama(), input_ids, method="wanda", sparsity=0.7)
    dense = prune_model(make_llama(), input_ids, method="wanda", sparsity=0.7, statistics="dense")
    first = [name for name in dense.masks if ".layers.0." in name]

    assert all(torch.equal(sequential.masks[name], dense.masks[name]) for name in first)
    assert sequential.mask_hash != dense.mask_hash


def test_magnitude_prunes_each_matrix_exactly_and_runs_no_forward(llama):
    llama.model.embed_tokens.register_forward_pre_hook(lambda *_: pytest.fail("magnitude ran a forward"))
    before = {name: value.clone() for name, value in llama.state_dict().items()}

    report = prune_model(llama, None, method="magnitude", sparsity=0.25)

    assert set(report.sparsity.values()) == {0.25}
    assert report.calibration is None
    assert report.settings == {"sparsity": 0.25, "selection": "exact"}
    for name, value in llama.state_dict().items():
        module = name.removesuffix(".weight")
        expected = before[name] * report.masks[module] if module in report.masks else before[name]
        assert torch.equal(value, expected), name


def test_wanda_prunes_every_row_exactly(llama, input_ids):
    report = prune_model(llama, input_ids, method="wanda", sparsity=0.3)

    for name, module in {**matrices_of(llama, 0), **matrices_of(llama, 1)}.items():
        width = module.weight.shape[1]
        zeros = (module.weight == 0).sum(-1)
        assert zeros.unique().tolist() == [width * 3 // 10]
        assert torch.equal(module.weight != 0, report.masks[name])
        assert report.sparsity[name] == pytest.approx((width * 3 // 10) / width)
    assert report.total_sparsity == pytest.approx(
        sum((~mask).sum().item() for mask in report.masks.values())
        / sum(mask.numel() for mask in report.masks.values())
    )


@pytest.mark.parametrize("method", ["magnitude", "wanda"])
@pytest.mark.parametrize("selection", ["exact", "reference"])
def test_conv1d_is_pruned_like_the_linear_it_is(gpt2, input_ids, method, selection):
    """GPT-2 stores ``[in, out]``; a twin with ordinary linears must get the transposed masks."""
    twin = copy.deepcopy(gpt2)
    outputs = prune_model(gpt2, input_ids, method=method, sparsity=0.5, selection=selection)

    for name, mask in outputs.masks.items():
        assert mask.shape == twin.get_submodule(name).weight.shape
        if method == "wanda":
            assert (~mask).sum(0).unique().tolist() == [mask.shape[0] // 2]  # per output, which is a column here
    seen = []
    hook = twin.transformer.h[0].attn.c_attn.register_forward_pre_hook(lambda _, args: seen.append(args[0][0]))
    with torch.no_grad():
        for row in input_ids:
            twin(row.unsqueeze(0))
    hook.remove()
    weight = twin.transformer.h[0].attn.c_attn.weight.data.t()
    if method == "wanda":
        expected = wanda_mask(weight, published_norms(seen), 0.5)
    else:
        order = weight.abs().flatten().sort().values
        threshold = order[weight.numel() // 2 - (selection == "exact")]
        expected = weight.abs() > threshold
    assert torch.equal(outputs.masks["transformer.h.0.attn.c_attn"], expected.t())


def test_padding_never_counts(make_llama, input_ids):
    mask = torch.ones_like(input_ids)
    mask[1, 7:] = 0
    mask[3, 2:] = 0
    garbage = torch.where(mask.bool(), input_ids, torch.randint_like(input_ids, 3, 40))

    one = prune_model(make_llama(), input_ids, method="wanda", sparsity=0.5, attention_mask=mask)
    other = prune_model(make_llama(), garbage, method="wanda", sparsity=0.5, attention_mask=mask)
    unmasked = prune_model(make_llama(), input_ids, method="wanda", sparsity=0.5)

    assert one.mask_hash == other.mask_hash
    assert one.mask_hash != unmasked.mask_hash


def test_padded_sequences_count_like_the_same_sequences_alone(make_llama, input_ids):
    """Statistics by hand from each sequence cut to its own length."""
    mask = torch.ones_like(input_ids)
    mask[1, 7:] = 0
    mask[3, 2:] = 0
    twin = make_llama()
    modules = matrices_of(twin, 0)
    seen = {name: [] for name in modules}
    for row, real in zip(input_ids, mask.bool(), strict=True):
        for name, inputs in inputs_in_full_forward(twin, modules, row[real].unsqueeze(0)).items():
            seen[name] += inputs

    report = prune_model(make_llama(), input_ids, method="wanda", sparsity=0.5, attention_mask=mask, batch_size=5)

    for name, module in modules.items():
        assert torch.equal(report.masks[name], wanda_mask(module.weight.data.double(), float64_norms(seen[name]), 0.5))


def test_left_and_right_padding_give_the_same_masks(make_llama, input_ids):
    mask = torch.ones_like(input_ids)
    mask[1, 7:] = 0
    left_ids, left_mask = input_ids.clone(), mask.clone()
    left_ids[1], left_mask[1] = input_ids[1].roll(5), mask[1].roll(5)

    right = prune_model(make_llama(), input_ids, method="wanda", sparsity=0.5, attention_mask=mask)
    left = prune_model(make_llama(), left_ids, method="wanda", sparsity=0.5, attention_mask=left_mask)

    assert right.mask_hash == left.mask_hash


def test_token_weight_two_counts_like_the_sequence_twice(make_llama, input_ids):
    weights = torch.ones(input_ids.shape)
    weights[2] = 2

    weighted = prune_model(make_llama(), input_ids, method="wanda", sparsity=0.5, token_weights=weights)
    doubled = prune_model(make_llama(), torch.cat([input_ids, input_ids[2:3]]), method="wanda", sparsity=0.5)

    assert weighted.mask_hash == doubled.mask_hash
    assert weighted.calibration != doubled.calibration


def test_batch_size_does_not_change_the_masks(make_llama, input_ids):
    hashes = {
        prune_model(make_llama(), input_ids, method="wanda", sparsity=0.5, batch_size=size).mask_hash
        for size in (1, 2, 8)
    }

    assert len(hashes) == 1


def test_pruning_twice_changes_nothing(llama, input_ids):
    once = prune_model(llama, input_ids, method="wanda", sparsity=0.5, statistics="dense")
    weights = copy.deepcopy(llama.state_dict())
    twice = prune_model(llama, input_ids, method="wanda", sparsity=0.5, statistics="dense")

    assert once.mask_hash == twice.mask_hash
    assert all(torch.equal(value, weights[name]) for name, value in llama.state_dict().items())


def test_sparsity_zero_keeps_everything(llama, input_ids):
    for method in ("magnitude", "wanda"):
        for selection in ("exact", "reference"):
            report = prune_model(llama, input_ids, method=method, sparsity=0.0, selection=selection)
            assert all(mask.all() for mask in report.masks.values())


def test_modes_come_back_and_dropout_is_off_meanwhile(make_llama, input_ids):
    trained = make_llama(attention_dropout=0.9).train()
    report = prune_model(trained, input_ids, method="wanda", sparsity=0.5)

    assert trained.training
    assert report.mask_hash == prune_model(make_llama(), input_ids, method="wanda", sparsity=0.5).mask_hash


def test_weights_and_masks_are_ordinary_tensors_after_inference_mode(llama, input_ids):
    with torch.inference_mode():
        report = prune_model(llama, input_ids, method="wanda", sparsity=0.5)

    assert not any(mask.is_inference() for mask in report.masks.values())
    assert not any(parameter.is_inference() for parameter in llama.parameters())


def test_a_model_made_under_inference_mode_is_pruned(make_llama, input_ids):
    with torch.inference_mode():
        model = make_llama()

    assert prune_model(model, input_ids, method="wanda", sparsity=0.5).total_sparsity == 0.5


def test_options_behind_a_methods_name_are_its_options(llama, input_ids):
    """And what is recorded is the same, whichever way they are given."""
    other = copy.deepcopy(llama)
    named = prune_model(llama, input_ids, method="ria:permutation=assignment:exponent=1", pattern="2:4")
    given = prune_model(other, input_ids, method="ria", pattern="2:4", permutation="assignment", exponent=1)
    assert (named.method, named.settings) == (given.method, given.settings)
    assert named.settings["permutation"] == "assignment"
    assert all(torch.equal(mask, given.masks[name]) for name, mask in named.masks.items())


@pytest.mark.parametrize("sparsity", [50, -0.1, 1.0])
def test_sparsity_out_of_range_is_refused_before_anything_changes(llama, input_ids, sparsity):
    before = copy.deepcopy(llama.state_dict())
    with pytest.raises(SparsityRangeError):
        prune_model(llama, input_ids, method="wanda", sparsity=sparsity)

    assert all(torch.equal(value, before[name]) for name, value in llama.state_dict().items())


@pytest.mark.parametrize(
    ("settings", "error", "match"),
    [
        ({"method": "wnda"}, UnknownMethodError, "did you mean 'wanda'"),
        ({"method": "wanda:"}, SettingError, "method must be wanda, and options as in wanda:option=value"),
        ({"method": "ria:exponent"}, SettingError, "method must be ria, and options as in ria:option=value"),
        ({"method": "ria:power=1"}, SettingError, r"option of method 'ria' must be one that it has \(exponent, group"),
        ({"method": "ria:exponent=-1"}, SettingError, "exponent must be ≥ 0"),
        ({"method": "ria:exponent=high"}, SettingError, "exponent must be"),
        ({"selection": "best"}, SettingError, "selection must be 'exact' or 'reference'"),
        ({"statistics": "none"}, SettingError, "statistics must be 'sequential' or 'dense'"),
        ({"batch_size": 0}, SettingError, "batch_size must be at least 1"),
        ({"attention_mask": torch.ones(5, 3)}, SettingError, r"attention_mask must be of the shape .*got \(5, 3\)"),
        ({"attention_mask": torch.full((5, 12), 2)}, SettingError, "attention_mask must be 0 for padding"),
        ({"attention_mask": torch.full((5, 12), 0.5)}, SettingError, "attention_mask must be 0 for padding"),
        ({"attention_mask": torch.zeros(5, 12)}, EmptyCalibrationError, "has 0 tokens"),
        (
            {"attention_mask": torch.eye(5, 12).roll(1, 0) * 0 + torch.tensor([[1.0]] * 4 + [[0.0]])},
            SettingError,
            "row 4",
        ),
        ({"token_weights": -torch.ones(5, 12)}, SettingError, "token_weights must be ≥ 0"),
        ({"token_weights": torch.full((5, 12), math.nan)}, NonFiniteError, "token_weights"),
        ({"token_weights": torch.ones(5, 12), "selection": "reference"}, SettingError, "token_weights must be None"),
    ],
)
def test_bad_settings_are_refused(llama, input_ids, settings, error, match):
    with pytest.raises(error, match=match):
        prune_model(llama, input_ids, **{"method": "wanda", "sparsity": 0.5, **settings})


@pytest.mark.parametrize(
    ("ids", "error", "match"),
    [
        (None, EmptyCalibrationError, "has 0 tokens"),
        (torch.zeros(0, 12, dtype=torch.long), EmptyCalibrationError, "has 0 tokens"),
        (torch.zeros(12, dtype=torch.long), SettingError, r"\[sequences, tokens\]"),
        (torch.zeros(2, 12), SettingError, r"\[sequences, tokens\]"),
        (torch.full((2, 12), 40), SettingError, "ids from 0 to 39"),
    ],
)
def test_bad_calibration_is_refused(llama, ids, error, match):
    with pytest.raises(error, match=match):
        prune_model(llama, ids, method="wanda", sparsity=0.5)


def test_a_weight_that_is_not_finite_is_named_before_anything_changes(llama):
    llama.model.layers[1].mlp.up_proj.weight.data[0, 0] = math.nan
    with pytest.raises(NonFiniteError, match=r"^model\.layers\.1\.mlp\.up_proj holds"):
        prune_model(llama, None, method="magnitude", sparsity=0.5)

    assert (llama.model.layers[0].self_attn.q_proj.weight != 0).all()


@pytest.mark.parametrize(
    "name",
    ["model.embed_tokens.weight", "model.layers.0.input_layernorm.weight", "model.norm.weight", "lm_head.weight"],
)
@pytest.mark.parametrize("method", ["magnitude", "wanda"])
def test_what_is_not_finite_beside_the_matrices_is_named_before_anything_changes(llama, input_ids, name, method):
    llama.get_parameter(name).data[-1] = math.nan
    before = {key: value.clone() for key, value in llama.state_dict().items()}
    with pytest.raises(NonFiniteError, match=f"^{name} holds NaN"):
        prune_model(llama, input_ids, method=method, sparsity=0.5)
    assert all(torch.equal(value, before[key]) for key, value in llama.state_dict().items() if key != name)


def test_an_activation_that_is_not_finite_names_the_matrix(llama, input_ids):
    llama.model.layers[1].post_attention_layernorm.weight.data[:] = 3e38  # finite; its products are not
    with pytest.raises(NonFiniteError, match=r"the input of model\.layers\.1\.mlp\.gate_proj"):
        prune_model(llama, input_ids, method="wanda", sparsity=0.5)


def test_a_model_of_no_known_family_is_refused(input_ids):
    with pytest.raises(UnknownArchitectureError, match="Linear"):
        prune_model(nn.Linear(2, 2), input_ids, method="magnitude", sparsity=0.5)


def test_tied_embeddings_are_never_pruned(make_llama, input_ids):
    model = make_llama(tie_word_embeddings=True)
    before = model.lm_head.weight.clone()
    prune_model(model, input_ids, method="wanda", sparsity=0.5)

    assert isinstance(model, LlamaForCausalLM)
    assert model.lm_head.weight is model.model.embed_tokens.weight
    assert torch.equal(model.lm_head.weight, before)


def test_rows_that_a_threshold_empties_are_counted_and_said(llama, gpt2, input_ids, caplog):
    llama.model.layers[1].mlp.up_proj.weight.data[[2, 5]] *= 1e-6
    gpt2.transformer.h[0].mlp.c_fc.weight.data[:, 7] *= 1e-6  # a column is an output there
    with caplog.at_level(logging.WARNING):
        report = prune_model(llama, None, method="magnitude", sparsity=0.5)

    assert report.empty_rows == {"model.layers.1.mlp.up_proj": 2}
    assert "magnitude left 2 output rows in 1 matrices without a weight" in caplog.text
    assert prune_model(gpt2, None, method="magnitude", sparsity=0.5).empty_rows == {"transformer.h.0.mlp.c_fc": 1}
    assert prune_model(llama, input_ids, method="wanda", sparsity=0.9).empty_rows == {}
