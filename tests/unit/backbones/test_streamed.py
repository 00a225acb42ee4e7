"""Streamed backbones: block by block the parameters that transformers loads, written back as it saves them."""

import json

import pytest
import torch
from safetensors.torch import load_file, save_file
from tests.unit.backbones import tiny
from transformers import AutoModelForCausalLM

from semprune.backbones import load_backbone
from semprune.backbones.loading.source import BackboneSource, find_backbone
from semprune.backbones.streamed import StreamedModel
from semprune.backbones.weights.fingerprint import fingerprint_folder
from semprune.backbones.weights.stored_tensors import Checkpoint
from semprune.errors import BackboneLoadError, SettingError
from semprune.pruning.streamed.weights_folder import OutsideBlocks

pytestmark = pytest.mark.usefixtures("cache")


def _saved(folder, architecture="LlamaForCausalLM", variant=None, **changes):
    tiny.make_model(architecture, variant, **changes).save_pretrained(folder, max_shard_size="10KB")
    return folder


def _open(folder, architecture="LlamaForCausalLM", **settings):
    return StreamedModel(BackboneSource(str(folder), folder, "local", architecture), **settings)


def _stored(folder):
    return {name: value for path in folder.glob("*.safetensors") for name, value in load_file(path).items()}


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize(("architecture", "variant"), tiny.VARIANTS)
def test_blocks_and_the_rest_are_what_transformers_loads_and_saves(architecture, variant, dtype, tmp_path):
    folder = _saved(tmp_path / "model", architecture, variant)
    expected = AutoModelForCausalLM.from_pretrained(folder, dtype=getattr(torch, dtype))
    expected.save_pretrained(tmp_path / "saved")
    parameters = expected.state_dict()

    streamed = _open(folder, architecture, dtype=dtype)
    exported = {}
    for index, block in enumerate(streamed.blocks):
        with streamed.block(index):
            for name, value in block.state_dict().items():
                whole = parameters[f"{streamed.family.layers}.{index}.{name}"]
                assert value.dtype == whole.dtype, name
                assert torch.equal(value, whole), name
            exported |= {name: value.clone() for name, value in streamed.export_block(index).items()}
        assert all(value.is_meta for value in streamed.model.parameters())
    outside = OutsideBlocks(streamed)
    exported |= {name: outside.read(name) for name in outside.layout}

    saved = _stored(tmp_path / "saved")
    assert exported.keys() == saved.keys()
    assert all(exported[name].dtype == saved[name].dtype for name in saved)
    assert all(torch.equal(exported[name], saved[name]) for name in saved)
    assert outside.layout == {name: (saved[name].dtype, tuple(saved[name].shape)) for name in outside.layout}


@pytest.mark.parametrize(("architecture", "variant"), tiny.VARIANTS)
def test_buffers_are_real_and_those_of_a_loaded_model(architecture, variant, tmp_path):
    folder = _saved(tmp_path / "model", architecture, variant)
    expected = dict(AutoModelForCausalLM.from_pretrained(folder, dtype=torch.bfloat16).named_buffers())
    found = dict(_open(folder, architecture, dtype="bfloat16").model.named_buffers())
    assert found.keys() == expected.keys()
    for name, value in found.items():
        assert value.dtype == expected[name].dtype, name
        assert torch.equal(value, expected[name]), name


def test_around_the_blocks_only_embeddings_and_norms_are_held(tmp_path):
    streamed = _open(_saved(tmp_path / "model"))
    with streamed.around_blocks():
        held = [name for name, value in streamed.model.named_parameters() if not value.is_meta]
    assert held == ["model.embed_tokens.weight", "model.norm.weight"]
    assert all(value.is_meta for value in streamed.model.parameters())


def test_it_is_the_backbone_that_load_backbone_gives(tmp_path, tokenizer):
    folder = _saved(tmp_path / "model")
    tokenizer.save_pretrained(folder)
    lm, streamed = load_backbone(str(folder)), StreamedModel(find_backbone(str(folder)))
    assert streamed.fingerprint == lm.fingerprint
    assert streamed.matrices == lm.matrices
    assert [name for name, _ in streamed.companions()] == [
        "generation_config.json", "tokenizer.json", "tokenizer_config.json", "config.json",
    ]  # fmt: skip


def test_names_without_the_bodys_prefix_as_on_the_hub(tmp_path):
    folder = tmp_path / "model"
    tiny.make_model("GPT2LMHeadModel").save_pretrained(folder)
    dense = load_file(folder / "model.safetensors")
    save_file({name.removeprefix("transformer."): v for name, v in dense.items()}, folder / "model.safetensors")
    streamed = _open(folder, "GPT2LMHeadModel")
    with streamed.block(1) as block:
        assert torch.equal(block.attn.c_attn.weight, dense["transformer.h.1.attn.c_attn.weight"])
        assert "transformer.h.1.attn.c_attn.weight" in streamed.export_block(1)


@pytest.mark.parametrize(("configured", "stored"), [("bfloat16", "float32"), (None, "float16")])
def test_the_stored_dtype_is_the_configurations_else_the_first_tensors(tmp_path, configured, stored):
    folder = tmp_path / "model"
    tiny.make_model("LlamaForCausalLM").to(getattr(torch, stored)).save_pretrained(folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "dtype": configured}))
    streamed = _open(folder)
    assert streamed.dtype == getattr(torch, configured or stored)
    assert dict(streamed.companions())["config.json"] == (folder / "config.json").read_bytes()


def test_a_quantised_model_is_refused(tmp_path):
    folder = _saved(tmp_path / "model")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "quantization_config": {"quant_method": "fp8"}}))
    with pytest.raises(BackboneLoadError, match="its weights are quantised"):
        _open(folder)


def test_a_tensor_of_another_shape_is_refused(tmp_path):
    folder = tmp_path / "model"
    tiny.make_model("LlamaForCausalLM").save_pretrained(folder)
    weights = load_file(folder / "model.safetensors")
    weights["model.layers.1.mlp.up_proj.weight"] = torch.zeros(3, 3)
    save_file(weights, folder / "model.safetensors")
    with pytest.raises(BackboneLoadError, match=r"up_proj\.weight has another shape .3, 3. than .24, 16"):
        _open(folder)


def test_embeddings_and_head_of_another_vocabulary_are_refused_before_they_are_copied(tmp_path):
    folder = _saved(tmp_path / "model")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "vocab_size": 41}))
    with pytest.raises(BackboneLoadError, match=r"lm_head\.weight has another shape .40, 16. than .41, 16"):
        _open(folder)


@pytest.mark.parametrize("setting", [{"dtype": "int8"}, {"device": "abacus"}])
def test_settings_without_sense(tmp_path, setting):
    with pytest.raises(SettingError, match=next(iter(setting))):
        _open(_saved(tmp_path / "model"), **setting)


@pytest.mark.parametrize("index", ["{", "{}", '{"weight_map": {"a": 1}}', '{"weight_map": []}'])
def test_a_damaged_index(tmp_path, index):
    folder = _saved(tmp_path / "model")
    (folder / "model.safetensors.index.json").write_text(index)
    with pytest.raises(BackboneLoadError, match=r"index\.json is damaged"):
        Checkpoint(folder)


def test_tensors_are_read_by_name_from_their_shards(tmp_path):
    folder = _saved(tmp_path / "model")
    checkpoint, stored = Checkpoint(folder), _stored(folder)
    assert list(checkpoint.tensors) == sorted(stored)
    assert len({entry.file for entry in checkpoint.tensors.values()}) > 1
    read = checkpoint.read(stored)
    assert all(torch.equal(read[name], value) for name, value in stored.items())
    assert checkpoint.tensors["model.norm.weight"].size_bytes == 16 * 4


def test_the_fingerprint_does_not_depend_on_the_shards(tmp_path):
    tiny.make_model("LlamaForCausalLM").save_pretrained(tmp_path / "one")
    sharded = fingerprint_folder(_saved(tmp_path / "several"), "LlamaForCausalLM", "local")
    assert sharded == fingerprint_folder(tmp_path / "one", "LlamaForCausalLM", "local")
