"""What is copied beside the weights: every byte of the input's, for readers that look for keys of their own."""

import json

import pytest
import torch
from tests.unit.backbones import tiny
from tests.unit.pruning.streamed.streamed_runs import plan_of, prune_into
from transformers import AutoConfig, AutoModelForCausalLM

from semprune.backbones.companions import companions
from semprune.errors import BackboneLoadError

pytestmark = pytest.mark.usefixtures("cache")


def as_transformers_4_writes(config):
    """The configuration with the keys of transformers 4.5x, and one that no reader here knows."""
    rope = config.pop("rope_parameters", None) or {}
    if "rope_theta" in rope:  # Gemma 3 has one per kind of attention, and other keys for them: left as it is
        scaled = {key: value for key, value in rope.items() if key not in ("rope_theta", "partial_rotary_factor")}
        config["rope_theta"] = rope["rope_theta"]
        config["rope_scaling"] = None if scaled == {"rope_type": "default"} else scaled
        if "partial_rotary_factor" in rope:
            config["partial_rotary_factor"] = rope["partial_rotary_factor"]
    elif rope:
        config["rope_parameters"] = rope
    if config["model_type"] in ("qwen3_moe", "qwen2_moe", "olmoe") and "num_local_experts" in config:
        config["num_experts"] = config.pop("num_local_experts")
    config["torch_dtype"] = config.pop("dtype")
    return config | {"of_another_runtime": {"scale": 1.5}, "transformers_version": "4.55.4"}


def older(folder):
    """Rewrite a folder's configuration as an older transformers would have, in a form of its own; return its bytes."""
    path = folder / "config.json"
    text = json.dumps(as_transformers_4_writes(json.loads(path.read_text())), indent=3, ensure_ascii=False)
    written = ("\n" + text.replace("e-05", "E-5").replace("e-06", "E-6") + " \n").encode()
    path.write_bytes(written)
    return written


@pytest.mark.parametrize(("architecture", "variant"), tiny.VARIANTS)
def test_the_configuration_of_every_family_is_written_as_it_was(architecture, variant, tmp_path):
    tiny.make_model(architecture, variant).save_pretrained(tmp_path / "model")
    written = older(tmp_path / "model")
    expected = AutoModelForCausalLM.from_pretrained(tmp_path / "model")

    prune_into(tmp_path / "out", plan_of(tmp_path / "model", "magnitude", sparsity=0.0))

    assert (tmp_path / "out" / "config.json").read_bytes() == written
    again = AutoModelForCausalLM.from_pretrained(tmp_path / "out")
    assert all(torch.equal(again.get_parameter(name), value) for name, value in expected.named_parameters())


@pytest.mark.parametrize("keys", [("torch_dtype",), ("dtype",), ("torch_dtype", "dtype"), ()])
def test_of_the_configuration_only_the_number_format_changes(keys, tmp_path):
    tiny.make_model("Qwen3MoeForCausalLM").save_pretrained(tmp_path / "model")
    older(tmp_path / "model")
    path = tmp_path / "model" / "config.json"
    before = {key: value for key, value in json.loads(path.read_text()).items() if key != "torch_dtype"}
    path.write_text(json.dumps(before | dict.fromkeys(keys, "float32")))

    prune_into(tmp_path / "out", plan_of(tmp_path / "model", "magnitude", dtype="bfloat16"))

    after = json.loads((tmp_path / "out" / "config.json").read_text())
    assert after == before | dict.fromkeys(keys or ("torch_dtype",), "bfloat16")
    assert list(after)[: len(before)] == list(before)
    assert AutoConfig.from_pretrained(tmp_path / "out").dtype == torch.bfloat16


def test_other_files_are_copied_byte_for_byte_and_no_weights_index_or_code(tmp_path):
    texts = {
        "generation_config.json": b' {"top_p": 1e-1}\n',
        "tokenizer_config.json": b'{"a":1 }',
        "merges.txt": b"\xff",
        "chat_template.jinja": b"{{ x }}",
        "spiece.model": b"\x00\x01",
        "qwen.tiktoken": b"\x02",
    }
    for name, content in texts.items():
        (tmp_path / name).write_bytes(content)
    for name in ("model.safetensors", "model.safetensors.index.json", "pytorch_model.bin.index.json", "modeling_x.py"):
        (tmp_path / name).write_bytes(b"{}")
    (tmp_path / "config.json").write_bytes(b'{"eps": 1e-5}')
    assert dict(companions(tmp_path)) == {**texts, "config.json": b'{"eps": 1e-5}'}


def test_the_names_of_code_that_does_not_come_along_go(tmp_path):
    (tmp_path / "config.json").write_text('{"z": 1e-05, "auto_map": {"AutoConfig": "c.Config"}, "a": "\u00e9"}')
    (tmp_path / "tokenizer_config.json").write_text('{"auto_map": {"AutoTokenizer": ["t.T", null]}, "b": 2}')
    found = dict(companions(tmp_path))
    assert json.loads(found["config.json"]) == {"z": 1e-05, "a": "\u00e9"}
    assert list(json.loads(found["config.json"])) == ["z", "a"]
    assert json.loads(found["tokenizer_config.json"]) == {"b": 2}


@pytest.mark.parametrize("name", ["config.json", "tokenizer_config.json"])
def test_a_damaged_companion_is_named(name, tmp_path):
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / name).write_text("[1")
    with pytest.raises(BackboneLoadError, match=f"{name} is damaged"):
        list(companions(tmp_path))
