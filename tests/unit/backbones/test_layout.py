"""Every declared architecture is described in full; everything else is refused."""

from dataclasses import replace

import pytest
import torch
import transformers
from tests.unit.backbones import tiny
from torch import nn

from semprune.backbones import capture, describe, neuron_sites
from semprune.backbones.families import find_family
from semprune.backbones.layout import decoder_layers, family_of, prunable_matrices
from semprune.errors import (
    BackboneLoadError,
    RoutedNeuronsError,
    SettingError,
    UnknownArchitectureError,
    UnprunedMatrixError,
)
from semprune.pruning.weights.linear import prunable_linears

WIDTH = 24  # of the tiny Llama's MLP


def _kinds(model):
    """Kinds of neurons that the model has outside of experts."""
    routed = any(matrix.expert is not None for matrix in prunable_matrices(model, family_of(model)))
    return ("attention",) if routed else ("mlp", "attention")


def test_every_declared_architecture_has_a_tiny_model():
    assert sorted(tiny.CONFIGURATIONS) == tiny.ARCHITECTURES


@pytest.mark.parametrize(("architecture", "variant"), tiny.VARIANTS)
def test_every_block_matrix_is_named_once_or_excluded(architecture, variant):
    model = tiny.make_model(architecture, variant)
    backbone = describe(model, None, "tiny")
    path = backbone.family.layers
    in_blocks = {
        f"{path}.{index}.{name}": value
        for index, layer in enumerate(decoder_layers(model, backbone.family))
        for name, value in layer.named_parameters()
        if value.ndim >= 2
    }
    excluded = {name for name in in_blocks if name.split(".", path.count(".") + 2)[-1] in backbone.family.excluded}

    slices = [(matrix.key, matrix.expert) for matrix in backbone.matrices]
    stacked = {name for name, value in in_blocks.items() if value.ndim == 3}
    expected = [
        (name, expert)
        for name, value in in_blocks.items()
        if name not in excluded
        for expert in (range(value.shape[0]) if name in stacked else (None,))
    ]
    assert sorted(slices, key=str) == sorted(expected, key=str)
    assert len({matrix.name for matrix in backbone.matrices}) == len(slices)
    assert [matrix.layer for matrix in backbone.matrices] == sorted(matrix.layer for matrix in backbone.matrices)


@pytest.mark.parametrize(("architecture", "variant"), tiny.VARIANTS)
def test_neurons_are_what_the_down_and_output_projections_multiply(architecture, variant, input_ids):
    model = tiny.make_model(architecture, variant)
    family = family_of(model)
    sites, seen, outputs = neuron_sites(model, family, _kinds(model)), {}, {}
    for site in sites:
        store = lambda module, args, output, name=site.name: outputs.update({name: output.clone()})  # noqa: E731
        model.get_submodule(site.module).register_forward_hook(store)
    with torch.no_grad(), capture(model, sites, lambda site, value: seen.update({site.name: value.clone()})):
        model(input_ids)
    for site in sites:
        module = model.get_submodule(site.module)
        weight = module.weight.T if isinstance(module, nn.Linear) else module.weight  # [width, hidden]
        bias = module.bias if getattr(module, "bias", None) is not None else 0.0
        assert seen[site.name].shape == (3, 5, site.width)
        expected = outputs[site.name].reshape(3, 5, 16)
        torch.testing.assert_close(seen[site.name] @ weight + bias, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("architecture", "variant"), tiny.VARIANTS)
def test_sites_are_two_per_block_with_their_widths(architecture, variant):
    model = tiny.make_model(architecture, variant)
    kinds = _kinds(model)
    sites = neuron_sites(model, family_of(model), kinds)

    suffix = {"mlp": "mlp", "attention": "attn"}
    assert [site.name for site in sites] == [f"layers.{block}.{suffix[kind]}" for block in (0, 1) for kind in kinds]
    heads = {site.width for site in sites if site.kind == "attention"}
    assert heads == {16}  # two heads of eight
    widths = {site.width for site in sites if site.kind == "mlp"}
    assert widths <= {64 if architecture == "BloomForCausalLM" else WIDTH}


def test_mlp_neurons_inside_of_experts_are_refused_when_asked_for():
    backbone = describe(tiny.make_model("Qwen3MoeForCausalLM", "first block dense"), None, "tiny")  # loading works

    with pytest.raises(RoutedNeuronsError, match=r"Qwen3MoeForCausalLM: the MLP neurons of block 1 .*'attention'"):
        _ = backbone.sites
    assert len(neuron_sites(backbone.model, backbone.family, ("attention",))) == 2


def test_unknown_kind_of_site_is_refused(llama):
    with pytest.raises(SettingError, match="kinds must be some of mlp, attention, got 'embedding'"):
        neuron_sites(llama, family_of(llama), ("embedding",))


@pytest.mark.parametrize(("architecture", "variant"), tiny.VARIANTS)
def test_orientation_is_told_right(architecture, variant):
    """Hidden states are 16 wide, and nothing else in a tiny model's MLP is."""
    for linears in prunable_linears(tiny.make_model(architecture, variant)).values():
        for linear in linears:
            rows, columns = linear.weight.shape
            assert (rows if linear.matrix.role in ("o", "down") else columns) == 16
            if linear.matrix.role in ("gate", "up", "gate_up", "down"):
                assert rows != columns
            assert linear.weight.data_ptr() == linear.stored.data_ptr()  # a view, also of an expert


def test_experts_matrices_by_hand():
    model = tiny.make_model("GptOssForCausalLM", num_hidden_layers=1, layer_types=["full_attention"])
    matrices = [matrix for matrix in prunable_matrices(model, family_of(model)) if matrix.expert in (0, 3)]
    assert [(matrix.name, matrix.role, matrix.transposed, matrix.module) for matrix in matrices] == [
        ("model.layers.0.mlp.experts.gate_up_proj.0", "gate_up", True, "model.layers.0.mlp.experts"),
        ("model.layers.0.mlp.experts.gate_up_proj.3", "gate_up", True, "model.layers.0.mlp.experts"),
        ("model.layers.0.mlp.experts.down_proj.0", "down", True, "model.layers.0.mlp.experts"),
        ("model.layers.0.mlp.experts.down_proj.3", "down", True, "model.layers.0.mlp.experts"),
    ]


def test_stacked_matrices_that_a_family_takes_for_one_are_refused(make_model):
    model = make_model("MixtralForCausalLM")
    family = family_of(model)
    flat = replace(family, matrices=tuple(replace(matrix, experts=False) for matrix in family.matrices))
    with pytest.raises(BackboneLoadError, match=r"'mlp\.experts' holds no floating-point weight matrix"):
        prunable_matrices(model, flat)


def test_gpt2_matrices_by_hand(make_model):
    model = make_model("GPT2LMHeadModel", num_hidden_layers=1)
    matrices = prunable_matrices(model, family_of(model))
    assert [(matrix.name, matrix.role, matrix.transposed) for matrix in matrices] == [
        ("transformer.h.0.attn.c_attn", "qkv", True),
        ("transformer.h.0.attn.c_proj", "o", True),
        ("transformer.h.0.mlp.c_fc", "up", True),
        ("transformer.h.0.mlp.c_proj", "down", True),
    ]


def test_unknown_architecture_lists_the_known(tokenizer):
    config = transformers.CTRLConfig(vocab_size=11, n_embd=16, dff=24, n_layer=1, n_head=2, n_positions=8)
    with pytest.raises(UnknownArchitectureError, match=r"'CTRLLMHeadModel'.*GPT2LMHeadModel.*LlamaForCausalLM"):
        describe(transformers.CTRLLMHeadModel(config), tokenizer, "ctrl")


def test_nearest_architecture_is_suggested():
    with pytest.raises(UnknownArchitectureError, match="did you mean 'LlamaForCausalLM'"):
        find_family("LLamaForCausalML")


@pytest.mark.parametrize("shape", [(4, 8), (3, 4, 8)])
def test_matrix_that_nobody_names_is_refused(llama, tokenizer, shape):
    llama.model.layers[1].mlp.experts = nn.Parameter(torch.zeros(shape))
    with pytest.raises(UnprunedMatrixError, match=r"model\.layers\.1\.mlp\.experts"):
        describe(llama, tokenizer, "tiny")
    family = replace(family_of(llama), excluded=("mlp.experts",))
    assert len(prunable_matrices(llama, family)) == 14


def test_vectors_need_no_name(llama, tokenizer):
    llama.model.layers[1].mlp.scale = nn.Parameter(torch.zeros(4))
    assert len(describe(llama, tokenizer, "tiny").matrices) == 14


def test_block_that_lacks_a_matrix_is_refused(llama, tokenizer):
    del llama.model.layers[1].mlp.up_proj
    with pytest.raises(BackboneLoadError, match=r"there is no 'mlp\.up_proj'"):
        describe(llama, tokenizer, "tiny")


def test_quantised_weights_are_refused(llama, tokenizer):
    projection = llama.model.layers[0].self_attn.q_proj
    projection.weight = nn.Parameter(projection.weight.data.to(torch.int8), requires_grad=False)
    with pytest.raises(BackboneLoadError, match="a quantised model"):
        describe(llama, tokenizer, "tiny")


def test_described_model_is_frozen(llama, tokenizer):
    llama.train()
    backbone = describe(llama, tokenizer, "tiny")
    assert backbone.model is llama
    assert not any(module.training for module in llama.modules())
    assert not any(value.requires_grad for value in llama.parameters())
    assert (backbone.max_length, backbone.dtype, backbone.device) == (32, torch.float32, torch.device("cpu"))
