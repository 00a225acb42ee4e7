"""Loading from a folder and, with the hub replaced, by a hub name; everything that can be wrong with either."""

import json
from fnmatch import fnmatch
from types import SimpleNamespace

import pytest
import torch
from huggingface_hub.errors import (
    GatedRepoError,
    HFValidationError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from safetensors.torch import load_file, save_file
from tests.unit.backbones import tiny

from semprune.backbones import describe, fingerprint_model, hardware, load_backbone
from semprune.backbones.loading import source as hub
from semprune.errors import BackboneLoadError, SettingError, UnknownArchitectureError, UnknownBackboneError

pytestmark = pytest.mark.usefixtures("cache")


@pytest.fixture
def folder(model, tokenizer, tmp_path):
    model.save_pretrained(tmp_path / "model")
    tokenizer.save_pretrained(tmp_path / "model")
    return tmp_path / "model"


def test_local_folder(folder, model, input_ids):
    backbone = load_backbone(str(folder))
    assert backbone.name == str(folder)
    assert backbone.fingerprint.revision == "local"
    assert backbone.fingerprint.architecture == type(model).__name__
    assert not backbone.model.training
    assert not any(value.requires_grad for value in backbone.model.parameters())
    assert backbone.tokenizer("the cat sat").input_ids == [3, 4, 5]
    with torch.no_grad():
        assert torch.equal(backbone.model(input_ids).logits, model(input_ids).logits)


@pytest.mark.parametrize(("architecture", "variant"), tiny.VARIANTS)
def test_every_family_is_loaded_with_all_its_weights(architecture, variant, tokenizer, tmp_path):
    model = tiny.make_model(architecture, variant)
    model.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)

    backbone = load_backbone(str(tmp_path))

    assert backbone.family.name == describe(model, tokenizer, "tiny").family.name
    assert backbone.fingerprint.weights_sha256 == fingerprint_model(model).weights_sha256
    assert backbone.max_length == (2048 if architecture == "BloomForCausalLM" else 32)
    loaded = backbone.model.state_dict()
    assert all(torch.equal(loaded[name], value) for name, value in model.state_dict().items())


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_dtype_changes_the_numbers_and_not_the_fingerprint(folder, dtype):
    backbone = load_backbone(str(folder), dtype=dtype)
    assert backbone.dtype == getattr(torch, dtype)
    assert backbone.fingerprint == load_backbone(str(folder)).fingerprint


@pytest.mark.parametrize(
    ("features", "expected"),
    [
        ({"amx_bf16": True, "avx512_bf16": False}, torch.bfloat16),
        ({"amx_bf16": False, "avx512_bf16": True}, torch.bfloat16),
        ({"amx_bf16": False, "avx512_f": True}, torch.float32),
        ({}, torch.float32),  # another architecture
    ],
)
def test_auto_dtype_asks_the_hardware(folder, monkeypatch, features, expected):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: features)
    assert load_backbone(str(folder), dtype="auto").dtype == expected


@pytest.mark.parametrize(
    ("setting", "value", "message"),
    [
        ("dtype", "float8", "dtype must be one of float32, bfloat16, float16 or auto, got 'float8'"),
        ("device", "abacus", "device must be a device of this machine"),
        ("revision", "main", "revision must be left out unless the backbone is a hub name"),
    ],
)
def test_impossible_setting(folder, setting, value, message):
    with pytest.raises(SettingError, match=message):
        load_backbone(str(folder), **{setting: value})


def test_folder_without_a_configuration(tmp_path):
    with pytest.raises(BackboneLoadError, match=r"there is no config\.json"):
        load_backbone(str(tmp_path))


@pytest.mark.parametrize("content", ["{", '{"model_type": "abacus"}'])
def test_damaged_configuration(folder, content):
    (folder / "config.json").write_text(content)
    with pytest.raises(BackboneLoadError, match=r"config\.json damaged, or of an unknown model"):
        load_backbone(str(folder))


@pytest.mark.parametrize("architecture", ["LlamaModel", "CTRLLMHeadModel", None])
def test_undeclared_architecture_is_never_loaded_as_another(folder, architecture):
    config = json.loads((folder / "config.json").read_text())
    config["architectures"] = architecture and [architecture]
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(UnknownArchitectureError, match=f"unknown model architecture '{architecture or 'none'}'"):
        load_backbone(str(folder))


def test_weights_that_lack_a_tensor_are_refused(folder):
    weights = load_file(folder / "model.safetensors")
    name = next(name for name in weights if "mlp" in name and name.endswith("weight"))
    del weights[name]
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(BackboneLoadError, match=f"the weights lack {name}"):
        load_backbone(str(folder))


def test_weights_of_another_shape_are_refused(folder):
    weights = load_file(folder / "model.safetensors")
    name = next(name for name in weights if "mlp" in name and name.endswith("weight"))
    weights[name] = torch.zeros(3, 3)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(BackboneLoadError, match="could not be loaded"):
        load_backbone(str(folder))


def test_folder_without_a_tokenizer(folder):
    for path in folder.glob("tokenizer*"):
        path.unlink()
    with pytest.raises(BackboneLoadError, match="Are the files in"):
        load_backbone(str(folder))


def test_mistyped_embedded_name():
    with pytest.raises(UnknownBackboneError, match=r"did you mean 'smollm2-135m'\?.*organisation/model"):
        hub.fetch("smolm2-135m", None, hub.CONFIG, ["smollm2-135m"])


ANSWER = SimpleNamespace(headers={}, request=None)  # the hub's errors carry the answer they were made from


@pytest.mark.parametrize(
    ("name", "error", "expected", "message"),
    [
        ("org/model", LocalEntryNotFoundError("offline"), BackboneLoadError, "the hub cannot be reached"),
        ("smolm2", LocalEntryNotFoundError("offline"), UnknownBackboneError, "unknown backbone 'smolm2'"),
        ("org/model", RepositoryNotFoundError("404", response=ANSWER), UnknownBackboneError, "'org/model'"),
        ("org/model", GatedRepoError("403", response=ANSWER), BackboneLoadError, "hf auth login"),
        ("org/model", RevisionNotFoundError("no v9", response=ANSWER), BackboneLoadError, "the hub answered: no v9"),
        ("../no/folder", HFValidationError("bad name"), UnknownBackboneError, "a folder that holds config.json"),
    ],
)
def test_hub_errors_name_the_remedy(monkeypatch, name, error, expected, message):
    def refuse(*args, **kwargs):
        raise error

    monkeypatch.setattr(hub, "snapshot_download", refuse)
    with pytest.raises(expected, match=message):
        load_backbone(name)


def test_hub_model_is_marked_with_its_commit(folder, monkeypatch):
    commit = folder.rename(folder.with_name("0123abcd"))
    asked = []

    def snapshot(name, revision, allow_patterns):
        asked.append((name, revision, allow_patterns[0]))
        return str(commit)

    monkeypatch.setattr(hub, "snapshot_download", snapshot)
    backbone = load_backbone("org/model", revision="v1")
    assert (backbone.name, backbone.fingerprint.revision) == ("org/model", "0123abcd")
    assert asked == [("org/model", "v1", "config.json"), ("org/model", "0123abcd", "*.json")]


def test_shards_of_any_name_are_asked_of_the_hub(folder, monkeypatch):
    """A hub of files, of which only those arrive that a pattern asks for."""
    cache = folder.with_name("0123abcd")
    cache.mkdir()
    weights = load_file(folder / "model.safetensors")
    half = len(weights) // 2
    names = {
        "model.safetensors-00001-of-00002.safetensors": list(weights)[:half],
        "b/part_2.safetensors": list(weights)[half:],
    }
    (folder / "b").mkdir()
    for file, inside in names.items():
        save_file({name: weights[name] for name in inside}, folder / file, {"format": "pt"})
    listed = {name: file for file, inside in names.items() for name in inside}
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": listed}))
    (folder / "model.safetensors").unlink()
    (folder / "code.py").write_text("")
    (folder / "qwen.tiktoken").write_text("")

    def snapshot(name, revision, allow_patterns):
        for path in (path for path in folder.rglob("*") if path.is_file()):
            place = path.relative_to(folder)
            if any(fnmatch(place.as_posix(), pattern) for pattern in allow_patterns):
                (cache / place).parent.mkdir(exist_ok=True)
                (cache / place).write_bytes(path.read_bytes())
        return str(cache)

    monkeypatch.setattr(hub, "snapshot_download", snapshot)
    found = load_backbone("org/model").model.state_dict()
    assert all(torch.equal(found[name], value) for name, value in weights.items())
    assert (cache / "qwen.tiktoken").is_file()
    assert not (cache / "code.py").exists()


def test_hub_model_of_unknown_architecture_is_refused_before_its_weights(tmp_path, monkeypatch):
    (tmp_path / "config.json").write_text('{"model_type": "ctrl", "architectures": ["CTRLLMHeadModel"]}')
    asked = []

    def snapshot(name, revision, allow_patterns):
        asked.append(allow_patterns)
        return str(tmp_path)

    monkeypatch.setattr(hub, "snapshot_download", snapshot)
    with pytest.raises(UnknownArchitectureError):
        load_backbone("org/model")
    assert asked == [["config.json"]]


def test_only_safe_files_are_asked_for():
    assert not any(pattern.endswith((".bin", ".py", ".pt", ".pth")) or pattern == "*" for pattern in hub.BESIDE)
    assert hardware.DTYPES.keys() == {"float32", "bfloat16", "float16"}
