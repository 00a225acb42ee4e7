"""All that decides beside the weights what a model computes is in its fingerprint, and nothing else is."""

import json
import shutil

import pytest
from tests.models import llama, word_tokenizer

from semprune.backbones import describe, fingerprint_model
from semprune.backbones.weights.configuration import hash_configuration
from semprune.backbones.weights.fingerprint import fingerprint_folder

pytestmark = pytest.mark.usefixtures("cache")


@pytest.fixture
def folder(make_model, tokenizer, tmp_path):
    make_model("LlamaForCausalLM").save_pretrained(tmp_path / "model")
    tokenizer.save_pretrained(tmp_path / "model")
    return tmp_path / "model"


def _edit(path, **changes):
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


@pytest.mark.parametrize(
    ("file", "changes"),
    [
        ("config.json", {"rms_norm_eps": 1e-2}),
        ("config.json", {"hidden_act": "gelu"}),
        ("config.json", {"rope_theta": 5e5}),
        ("generation_config.json", {"temperature": 0.1}),
        ("tokenizer_config.json", {"chat_template": "{{ messages }}"}),
        ("tokenizer_config.json", {"add_bos_token": True}),
        ("tokenizer.json", {"added_tokens": []}),
        ("special_tokens_map.json", {"bos_token": "<s>"}),
    ],
)
def test_each_change_of_what_is_computed_is_another_fingerprint_of_the_same_weights(folder, file, changes):
    before = fingerprint_folder(folder, "a", "r")
    if not (folder / file).exists():
        (folder / file).write_text("{}")
    _edit(folder / file, **changes)
    after = fingerprint_folder(folder, "a", "r")
    assert after.weights_sha256 == before.weights_sha256
    assert after != before
    assert not after.fits(before)
    assert str(after) != str(before)


def test_a_template_in_a_file_of_its_own_counts(folder):
    before = hash_configuration(folder)
    (folder / "chat_template.jinja").write_text("{{ messages }}")
    assert hash_configuration(folder) != before


def test_what_says_where_it_came_from_or_nothing_of_the_model_does_not_count(folder, tmp_path):
    before = hash_configuration(folder)
    other = tmp_path / "elsewhere"
    shutil.copytree(folder, other)
    _edit(other / "config.json", transformers_version="4.0.0", _name_or_path="elsewhere")
    (other / "config.json").write_text(json.dumps(json.loads((other / "config.json").read_text()), indent=7))
    for name in ("provenance.json", "README.txt", "notes.md", "model.safetensors.index.json"):
        (other / name).write_text("{}")
    assert hash_configuration(other) == before


def test_models_in_memory_differ_by_configuration_and_tokenizer():
    words = ["<s>", "a", "b"]
    model, other = llama(vocab_size=3), llama(vocab_size=3)
    lm = describe(model, word_tokenizer(words), "tiny")
    assert describe(other, word_tokenizer(words), "tiny").fingerprint == lm.fingerprint
    assert not describe(other, word_tokenizer(["<s>", "b", "a"]), "tiny").fingerprint.fits(lm.fingerprint)
    lm.tokenizer(["a", "a b"], padding=False, truncation=True, max_length=1)  # leaves its state in the tokenizer
    assert describe(model, lm.tokenizer, "tiny").fingerprint == lm.fingerprint
    other.config.rms_norm_eps = 0.5
    assert fingerprint_model(other).weights_sha256 == fingerprint_model(model).weights_sha256
    assert fingerprint_model(other) != fingerprint_model(model)
