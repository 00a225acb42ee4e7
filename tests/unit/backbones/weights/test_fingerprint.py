"""The fingerprint is a matter of the weights alone."""

import os
import time

import pytest
import torch
from safetensors.torch import save_file
from tests.unit.backbones import tiny
from transformers import AutoModelForCausalLM

from semprune.backbones import fingerprint_model
from semprune.backbones.weights import fingerprint as module
from semprune.backbones.weights.fingerprint import fingerprint_folder
from semprune.errors import BackboneLoadError
from semprune.io import known_hashes
from semprune.io.known_hashes import SETTLED_NS

pytestmark = pytest.mark.usefixtures("cache")


@pytest.mark.parametrize("tied", [True, False])
def test_folder_and_memory_agree(make_model, tmp_path, tied):
    model = make_model("LlamaForCausalLM", tie_word_embeddings=tied)
    model.save_pretrained(tmp_path / "model")
    saved = fingerprint_folder(tmp_path / "model", "LlamaForCausalLM", "local")
    assert saved.weights_sha256 == fingerprint_model(model).weights_sha256
    assert (saved.architecture, saved.revision) == ("LlamaForCausalLM", "local")


@pytest.mark.parametrize(("architecture", "variant"), tiny.VARIANTS)
def test_folder_and_memory_agree_also_where_files_have_another_layout(architecture, variant, tmp_path):
    """Files hold experts one by one; in memory they are stacked."""
    model = tiny.make_model(architecture, variant)
    model.save_pretrained(tmp_path)
    again = AutoModelForCausalLM.from_pretrained(tmp_path)

    saved = fingerprint_folder(tmp_path, architecture, "local").weights_sha256
    assert {fingerprint_model(model).weights_sha256, fingerprint_model(again).weights_sha256} == {saved}


def test_cutting_into_files_does_not_count(model, tmp_path):
    model.save_pretrained(tmp_path / "one")
    model.save_pretrained(tmp_path / "many", max_shard_size="4KB")
    assert len(list((tmp_path / "many").glob("*.safetensors"))) > 1
    one, many = (fingerprint_folder(tmp_path / name, "a", "r") for name in ("one", "many"))
    assert one == many


def test_one_changed_weight_counts(llama):
    before = fingerprint_model(llama)
    llama.model.layers[1].mlp.down_proj.weight.data[0, 0] += 1e-3
    assert fingerprint_model(llama) != before


def test_hash_by_hand():
    model = torch.nn.Linear(2, 1)
    model.weight.data = torch.tensor([[1.0, 2.0]])
    model.bias.data = torch.tensor([3.0])
    content = (
        b"bias|(1,)|torch.float32|" + b"\0\0\x40\x40" + b"weight|(1, 2)|torch.float32|" + b"\0\0\x80\x3f\0\0\0\x40"
    )
    assert fingerprint_model(model).weights_sha256 == module.hashlib.sha256(content).hexdigest()


def test_hash_is_remembered_until_the_file_changes(llama, tmp_path, monkeypatch):
    llama.save_pretrained(tmp_path / "model")
    monkeypatch.setattr(known_hashes.time, "time_ns", lambda now=time.time_ns: now() + 2 * SETTLED_NS)
    first = fingerprint_folder(tmp_path / "model", "a", "r")
    hashing = module._hash_files
    monkeypatch.setattr(module, "_hash_files", lambda *args: pytest.fail("hashed again"))
    assert fingerprint_folder(tmp_path / "model", "a", "r") == first
    monkeypatch.setattr(module, "_hash_files", hashing)
    status = (tmp_path / "model/model.safetensors").stat()
    llama.lm_head.weight.data += 1.0
    llama.save_pretrained(tmp_path / "model")
    os.utime(tmp_path / "model/model.safetensors", ns=(status.st_atime_ns, status.st_mtime_ns))
    changed = (tmp_path / "model/model.safetensors").stat()
    assert (changed.st_size, changed.st_mtime_ns) == (status.st_size, status.st_mtime_ns)
    assert fingerprint_folder(tmp_path / "model", "a", "r") != first


def test_cache_that_cannot_be_written_costs_no_run(llama, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("SEMPRUNE_CACHE", str(tmp_path / "file"))
    llama.save_pretrained(tmp_path / "model")
    assert len(fingerprint_folder(tmp_path / "model", "a", "r").weights_sha256) == 64


def test_damaged_weights(llama, tmp_path):
    llama.save_pretrained(tmp_path / "model")
    path = tmp_path / "model/model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(BackboneLoadError, match="its weights are damaged"):
        fingerprint_folder(tmp_path / "model", "a", "r")


def test_pickled_weights_are_not_read(tmp_path):
    torch.save({"weight": torch.zeros(1)}, tmp_path / "pytorch_model.bin")
    with pytest.raises(BackboneLoadError, match=r"no model\.safetensors.*pickled weights are never read"):
        fingerprint_folder(tmp_path, "a", "r")


def test_missing_shard_is_named(model, tmp_path):
    model.save_pretrained(tmp_path, max_shard_size="4KB")
    shard = sorted(tmp_path.glob("model-*.safetensors"))[0]
    shard.unlink()
    with pytest.raises(BackboneLoadError, match=f"there is no {shard.name}"):
        fingerprint_folder(tmp_path, "a", "r")


def test_bfloat16_can_be_hashed(tmp_path):
    save_file({"w": torch.ones(2, dtype=torch.bfloat16)}, tmp_path / "model.safetensors")
    assert len(fingerprint_folder(tmp_path, "a", "r").weights_sha256) == 64
