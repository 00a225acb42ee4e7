"""Whole stacks of blocks in reference selection: the published codes' masks and weights, bit for bit.

A last bit in one block is another activation in the next: what a single matrix hides, six blocks show.
"""

import copy

import pytest
import torch
from tests import models
from tests.golden import published

import semprune
from semprune import prune_model

LLAMA = {"hidden_size": 64, "intermediate_size": 160, "num_hidden_layers": 6, "num_attention_heads": 4}
OPT = {
    "vocab_size": 40,
    "hidden_size": 64,
    "ffn_dim": 160,
    "num_hidden_layers": 6,
    "num_attention_heads": 4,
    "max_position_embeddings": 64,
    "init_std": 0.2,
}
BLOOM = {"vocab_size": 40, "hidden_size": 64, "n_layer": 6, "n_head": 4, "initializer_range": 0.2}
STACKS = {
    "llama": ("LlamaForCausalLM", "model.layers", {**models.LLAMA, **LLAMA, "num_key_value_heads": 2}),
    "opt": ("OPTForCausalLM", "model.decoder.layers", {**OPT, "word_embed_proj_dim": 64}),
    "opt-350m": (
        "OPTForCausalLM",
        "model.decoder.layers",
        {**OPT, "word_embed_proj_dim": 32, "do_layer_norm_before": False},
    ),
    "bloom": ("BloomForCausalLM", "transformer.h", BLOOM),
    "gpt2": ("GPT2LMHeadModel", "transformer.h", {**models.GPT2, "n_embd": 64, "n_inner": 160, "n_layer": 6}),
}
SETTINGS = {"50 %": ({"sparsity": 0.5}, None), "2:4": ({"pattern": "2:4"}, (2, 4))}


TWINS = 21


def with_twins(model):
    """A Llama whose last hidden features repeat the first: their columns tie in all that reads them."""
    readers, writers = ("q_proj", "k_proj", "v_proj", "gate_proj", "up_proj"), ("o_proj", "down_proj")
    weights = [model.get_input_embeddings().weight.data]
    for name, module in model.model.layers.named_modules():
        if name.endswith((*readers, *writers)):
            weights.append(module.weight.data.t() if name.endswith(writers) else module.weight.data)
    for weight in weights:
        weight[:, -TWINS:] = weight[:, :TWINS]
    return model


def differences(model, twin, masks, found):
    """Mask bits and weights that are not the same."""
    assert found.keys() == masks.keys()
    bits = sum(int((found[name] != masks[name]).sum()) for name in masks)
    weights = sum(int((one != other).sum()) for one, other in zip(model.parameters(), twin.parameters(), strict=True))
    return bits, weights


def compare(model, layers, input_ids, method, setting):
    asked, goes = SETTINGS[setting]
    twin = copy.deepcopy(model)
    options = {"permutation": "snake"} if method == "ria" and goes else {}
    masks = published.prune_stack(twin, layers, input_ids, method, asked.get("sparsity"), goes)
    report = prune_model(model, input_ids, method=method, selection="reference", batch_size=1, **asked, **options)
    assert differences(model, twin, masks, report.masks) == (0, 0)


@pytest.mark.parametrize("setting", SETTINGS)
@pytest.mark.parametrize("method", published.RULES)
@pytest.mark.parametrize("stack", STACKS)
def test_six_blocks_are_pruned_as_published_bit_for_bit(stack, method, setting):
    architecture, layers, sizes = STACKS[stack]
    input_ids = torch.randint(3, 40, (6, 24), generator=torch.Generator().manual_seed(3))
    compare(models.random_model(architecture, **sizes), layers, input_ids, method, setting)


@pytest.mark.parametrize("setting", SETTINGS)
@pytest.mark.parametrize("method", published.RULES)
def test_where_scores_tie_the_same_ones_go(method, setting):
    """Which of two equal columns comes first is left to ``torch.sort``, and one exchange moves a sixth of a mask."""
    architecture, layers, sizes = STACKS["llama"]
    input_ids = torch.randint(3, 40, (6, 24), generator=torch.Generator().manual_seed(3))
    compare(with_twins(models.random_model(architecture, **sizes)), layers, input_ids, method, setting)


@pytest.mark.slow
@pytest.mark.assets
@pytest.mark.parametrize("setting", SETTINGS)
@pytest.mark.parametrize("method", ["sparsegpt", "ria"])
def test_smollm2s_first_six_blocks_are_pruned_as_published_bit_for_bit(method, setting):
    model = semprune.load_backbone("smollm2-135m", dtype="float32").model
    model.model.layers = model.model.layers[:6]
    model.config.num_hidden_layers = 6
    input_ids = torch.randint(3, 40_000, (8, 128), generator=torch.Generator().manual_seed(0))
    compare(model, "model.layers", input_ids, method, setting)
