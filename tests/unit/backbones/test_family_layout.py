"""Every declared architecture is described in full; everything else is refused."""

from dataclasses import replace

import pytest
import torch
import transformers
from torch import nn

from semprune.backbones import (
    capture,
    decoder_layers,
    describe,
    families,
    family_of,
    find_family,
    neuron_sites,
    prunable_matrices,
)
from semprune.errors import BackboneLoadError, UnknownArchitectureError, UnprunedMatrixError

ARCHITECTURES = [name for family in families() for name in family.architectures]
WIDTH = 24  # of the tiny models' MLP


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_every_block_matrix_is_named_once(architecture, tokenizer, make_model):
    model = make_model(architecture)
    backbone = describe(model, tokenizer, "tiny")
    blocks = [value for layer in decoder_layers(model, backbone.family) for value in layer.parameters()]
    named = [model.get_submodule(matrix.name).weight for matrix in backbone.matrices]
    assert {id(value) for value in blocks if value.ndim >= 2} == {id(value) for value in named}
    assert len(backbone.matrices) == 2 * len(backbone.family.matrices)
    assert [matrix.layer for matrix in backbone.matrices] == sorted(matrix.layer for matrix in backbone.matrices)
    assert [(site.name, site.layer, site.width) for site in backbone.sites] == [
        ("layers.0.mlp", 0, WIDTH),
        ("layers.1.mlp", 1, WIDTH),
    ]


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_neurons_are_what_the_down_projection_multiplies(architecture, input_ids, make_model):
    model = make_model(architecture)
    family = family_of(model)
    sites, seen, outputs = neuron_sites(model, family), {}, {}
    for site in sites:
        store = lambda module, args, output, name=site.name: outputs.update({name: output})  # noqa: E731
        model.get_submodule(site.module).register_forward_hook(store)
    with torch.no_grad(), capture(model, sites, lambda site, value: seen.update({site.name: value.clone()})):
        model(input_ids)
    for site in sites:
        down = model.get_submodule(site.module)
        weight = down.weight if family.down.transposed else down.weight.T  # [width, hidden]
        bias = down.bias if getattr(down, "bias", None) is not None else 0.0
        assert seen[site.name].shape == (3, 5, WIDTH)
        torch.testing.assert_close(seen[site.name] @ weight + bias, outputs[site.name])


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_orientation_is_told_right(architecture, make_model):
    model = make_model(architecture)
    for matrix in prunable_matrices(model, family_of(model)):
        if matrix.role == "up":
            expected = (16, WIDTH) if matrix.transposed else (WIDTH, 16)  # stored [in, out] or [out, in]
            assert tuple(model.get_submodule(matrix.name).weight.shape) == expected


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
    config = transformers.OPTConfig(
        vocab_size=11, hidden_size=16, ffn_dim=24, num_hidden_layers=1, num_attention_heads=2, word_embed_proj_dim=16
    )
    with pytest.raises(UnknownArchitectureError, match=r"'OPTForCausalLM'.*GPT2LMHeadModel.*LlamaForCausalLM"):
        describe(transformers.OPTForCausalLM(config), tokenizer, "opt")


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
