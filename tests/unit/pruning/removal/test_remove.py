"""Whole neurons: which go, what really shrinks, and that the smaller model saves, loads and generates."""

import copy

import pytest
import torch
from tests import models
from tests.unit.backbones import tiny
from transformers import AutoModelForCausalLM

from semprune.backbones.family import Family, FamilyMatrix
from semprune.backbones.layout import family_of
from semprune.errors import NeuronRemovalError, NonFiniteError, SettingError, SparsityRangeError
from semprune.pruning.removal.remove import remove_neurons

FUSED = Family(
    "fused",
    ("Phi3ForCausalLM",),
    "model.layers",
    (
        FamilyMatrix("self_attn.qkv_proj", "qkv"),
        FamilyMatrix("self_attn.o_proj", "o"),
        FamilyMatrix("mlp.gate_up_proj", "gate_up"),
        FamilyMatrix("mlp.down_proj", "down"),
    ),
)
WIDTHLESS = Family(
    "widthless",
    ("BloomForCausalLM",),
    "transformer.h",
    (
        FamilyMatrix("self_attention.query_key_value", "qkv"),
        FamilyMatrix("self_attention.dense", "o"),
        FamilyMatrix("mlp.dense_h_to_4h", "up"),
        FamilyMatrix("mlp.dense_4h_to_h", "down"),
    ),
)


@pytest.fixture
def phi3(monkeypatch):
    monkeypatch.setattr("semprune.backbones.layout.find_family", lambda name: FUSED)
    own = {"initializer_range": 0.02, "original_max_position_embeddings": 32}
    special = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
    return models.random_model("Phi3ForCausalLM", **models.LLAMA | own | special)


def logits(model, input_ids):
    with torch.no_grad():
        return model(input_ids, use_cache=False).logits


def neuron_scores(model, input_ids, block):
    """By hand, in float64, from whole forwards of a Llama."""
    mlp, seen = model.model.layers[block].mlp, {}
    hooks = [
        getattr(mlp, name).register_forward_pre_hook(
            lambda _, args, name=name: seen.update({name: args[0].double().flatten(0, 1).square().sum(0).sqrt()})
        )
        for name in ("gate_proj", "up_proj", "down_proj")
    ]
    logits(model, input_ids)
    for hook in hooks:
        hook.remove()
    rows = [(getattr(mlp, name).weight.double().abs() * seen[name]).sum(1) for name in ("gate_proj", "up_proj")]
    return sum(rows) + (mlp.down_proj.weight.double().abs() * seen["down_proj"]).sum(0)


@pytest.mark.parametrize("statistics", ["sequential", "dense"])
def test_the_neurons_of_least_worth_go(llama, input_ids, statistics):
    twin = copy.deepcopy(llama)
    report = remove_neurons(llama, input_ids, sparsity=0.25, statistics=statistics, batch_size=2)
    expected = {}
    dense = copy.deepcopy(twin)
    for block in (0, 1):
        scores = neuron_scores(dense if statistics == "dense" else twin, input_ids, block)
        expected[block] = scores.argsort(stable=True)[6:].sort().values
        gone = torch.ones(24, dtype=torch.bool)
        gone[expected[block]] = False
        twin.model.layers[block].mlp.down_proj.weight.data[:, gone] = 0

    assert all(torch.equal(report.kept[block], expected[block]) for block in (0, 1))
    assert torch.allclose(logits(llama, input_ids), logits(twin, input_ids), atol=1e-5)


def test_matrices_and_configuration_shrink(llama, input_ids):
    dense = sum(parameter.numel() for parameter in llama.parameters())
    report = remove_neurons(llama, input_ids, sparsity=0.25)
    mlp = llama.model.layers[1].mlp

    assert (mlp.gate_proj.weight.shape, mlp.down_proj.weight.shape) == ((18, 16), (16, 18))
    assert (mlp.gate_proj.out_features, mlp.down_proj.in_features, mlp.intermediate_size) == (18, 18, 18)
    assert llama.config.intermediate_size == 18
    assert report.width == 24
    assert report.parameters_removed == 2 * 6 * 3 * 16
    assert sum(parameter.numel() for parameter in llama.parameters()) == dense - report.parameters_removed


def test_a_gpt2_shrinks_with_its_biases_and_its_own_order(gpt2, input_ids):
    for block in gpt2.transformer.h:
        torch.nn.init.normal_(block.mlp.c_fc.bias)
    twin = copy.deepcopy(gpt2)
    report = remove_neurons(gpt2, input_ids, sparsity=0.5)
    for block, kept in report.kept.items():
        gone = torch.ones(24, dtype=torch.bool)
        gone[kept] = False
        twin.transformer.h[block].mlp.c_proj.weight.data[gone] = 0
    mlp = gpt2.transformer.h[0].mlp

    assert (tuple(mlp.c_fc.weight.shape), tuple(mlp.c_fc.bias.shape)) == ((16, 12), (12,))
    assert (mlp.c_fc.nf, mlp.c_proj.nx, gpt2.config.n_inner) == (12, 12, 12)
    assert torch.allclose(logits(gpt2, input_ids), logits(twin, input_ids), atol=1e-5)


def test_gate_and_up_in_one_matrix_lose_both_their_rows(phi3, input_ids):
    twin = copy.deepcopy(phi3)
    report = remove_neurons(phi3, input_ids, sparsity=0.5)
    for block, kept in report.kept.items():
        gone = torch.ones(24, dtype=torch.bool)
        gone[kept] = False
        twin.model.layers[block].mlp.down_proj.weight.data[:, gone] = 0

    assert phi3.model.layers[0].mlp.gate_up_proj.weight.shape == (24, 16)
    assert torch.allclose(logits(phi3, input_ids), logits(twin, input_ids), atol=1e-5)


def test_planted_silent_neurons_are_found_and_nothing_is_lost(llama, input_ids):
    dead = torch.tensor([2, 5, 11, 17, 20, 23])
    for layer in llama.model.layers:
        for matrix in (layer.mlp.gate_proj.weight, layer.mlp.up_proj.weight):
            matrix.data[dead] = 0
    before = logits(llama, input_ids)
    report = remove_neurons(llama, input_ids, sparsity=0.25)

    assert not set(report.kept[0].tolist()) & set(dead.tolist())
    assert not set(report.kept[1].tolist()) & set(dead.tolist())
    assert torch.allclose(logits(llama, input_ids), before, atol=1e-5)


@pytest.mark.parametrize("family", ["llama", "gpt2", "phi3"])
def test_the_smaller_model_saves_loads_and_generates(request, input_ids, family, tmp_path):
    model = request.getfixturevalue(family)
    remove_neurons(model, input_ids, sparsity=0.5)
    model.save_pretrained(tmp_path)
    loaded = AutoModelForCausalLM.from_pretrained(tmp_path).eval()

    assert torch.equal(logits(loaded, input_ids), logits(model, input_ids))
    generated = loaded.generate(input_ids[:1], max_new_tokens=3, do_sample=False, pad_token_id=0)
    assert generated.shape[1] > input_ids.shape[1]


def test_a_width_that_is_a_default_is_stated_from_then_on(input_ids):
    model = models.gpt2(n_embd=8, n_inner=None, n_layer=1, initializer_range=0.02)
    assert model.config.n_inner is None
    remove_neurons(model, input_ids, sparsity=0.25)

    assert model.config.n_inner == 24


@pytest.mark.parametrize(("multiple_of", "width"), [(1, 15), (8, 16), (16, 16), (24, 24), (32, 24)])
def test_the_width_that_stays_is_rounded_up(llama, input_ids, multiple_of, width):
    remove_neurons(llama, input_ids, sparsity=0.4, multiple_of=multiple_of)

    assert llama.config.intermediate_size == width


def test_padding_never_counts(make_llama, input_ids):
    mask = torch.ones_like(input_ids)
    mask[1, 7:] = 0
    other = torch.where(mask.bool(), input_ids, torch.full_like(input_ids, 3))
    kept = [remove_neurons(make_llama(), ids, sparsity=0.5, attention_mask=mask).kept for ids in (input_ids, other)]

    assert all(torch.equal(kept[0][block], kept[1][block]) for block in (0, 1))


WIDTHS = ("intermediate_size", "ffn_dim", "ffn_hidden_size", "n_inner")  # what all families together call it
EXPERTS = {"GptOssForCausalLM", "MixtralForCausalLM", "OlmoeForCausalLM", "Qwen2MoeForCausalLM", "Qwen3MoeForCausalLM"}
REMOVABLE = [name for name in tiny.ARCHITECTURES if name not in {*EXPERTS, "BloomForCausalLM"}]


@pytest.mark.parametrize("architecture", REMOVABLE)
def test_the_width_that_the_family_reads_is_changed_and_no_other_of_the_same_value(architecture, tmp_path):
    """The configuration also has the other families' names, with the same number: those that nothing reads."""
    model, ids = tiny.make_model(architecture), torch.randint(3, 40, (4, 8), generator=torch.Generator().manual_seed(1))
    setting = family_of(model).width_setting
    others = [name for name in WIDTHS if not hasattr(model.config, name)]
    for name in others:
        setattr(model.config, name, getattr(model.config, setting))
    remove_neurons(model, ids, sparsity=0.25)
    model.save_pretrained(tmp_path)

    assert getattr(model.config, setting) == 18
    assert {getattr(model.config, name) for name in others} == {24}
    assert torch.equal(logits(AutoModelForCausalLM.from_pretrained(tmp_path).eval(), ids), logits(model, ids))


def test_a_family_whose_width_is_not_stated_is_refused_though_another_number_is_the_same(input_ids):
    model = tiny.make_model("BloomForCausalLM")
    model.config.intermediate_size = 64
    with pytest.raises(NeuronRemovalError, match="does not state the number of neurons"):
        remove_neurons(model, input_ids, sparsity=0.5)

    assert model.config.intermediate_size == 64


def test_a_configuration_without_a_width_is_refused(monkeypatch, input_ids):
    monkeypatch.setattr("semprune.backbones.layout.find_family", lambda name: WIDTHLESS)
    model = models.random_model("BloomForCausalLM", vocab_size=40, hidden_size=16, n_layer=1, n_head=2)
    before = copy.deepcopy(model.state_dict())
    with pytest.raises(NeuronRemovalError, match="neurons of BloomForCausalLM cannot be removed: its configuration"):
        remove_neurons(model, input_ids, sparsity=0.5)

    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_blocks_of_different_widths_are_refused(llama, input_ids):
    mlp = llama.model.layers[1].mlp
    mlp.gate_proj, mlp.up_proj = torch.nn.Linear(16, 8), torch.nn.Linear(16, 8)
    mlp.down_proj = torch.nn.Linear(8, 16)
    with pytest.raises(NeuronRemovalError, match=r"different numbers of neurons \(\[8, 24\]\)"):
        remove_neurons(llama, input_ids, sparsity=0.5)


def test_rows_that_are_not_neurons_are_refused(llama, input_ids):
    llama.model.layers[1].mlp.gate_proj = torch.nn.Linear(16, 10)
    with pytest.raises(NeuronRemovalError, match="gate_proj has 10 rows for 24 neurons"):
        remove_neurons(llama, input_ids, sparsity=0.5)


@pytest.mark.parametrize(
    ("settings", "error"),
    [
        ({"sparsity": 1.0}, SparsityRangeError),
        ({"sparsity": 0.5, "multiple_of": 0}, SettingError),
        ({"sparsity": 0.5, "statistics": "none"}, SettingError),
    ],
)
def test_bad_settings_are_refused(llama, input_ids, settings, error):
    with pytest.raises(error):
        remove_neurons(llama, input_ids, **settings)


def test_activations_that_are_not_finite_are_named(llama, input_ids):
    llama.model.layers[0].post_attention_layernorm.weight.data[:] = 3e38  # finite; its products are not
    with pytest.raises(NonFiniteError, match=r"the input of model\.layers\.0\.mlp\.gate_proj"):
        remove_neurons(llama, input_ids, sparsity=0.5)
