"""Model folders with a field of a wrong type, or a damaged file: refused by the model's name, in one line."""

import json

import pytest
import torch
from tests.integration.tiny import tiny_backbone

import semprune
from semprune.backbones.loading.source import find_backbone
from semprune.backbones.streamed import StreamedModel
from semprune.errors import BackboneLoadError, OffloadedModelError


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("made")
    lm = tiny_backbone()
    lm.model.save_pretrained(folder)
    lm.tokenizer.save_pretrained(folder)
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture
def folder(made, tmp_path):
    for name, content in made.items():
        (tmp_path / name).write_bytes(content)
    return tmp_path


def read_both_ways(folder):
    """The messages of loading a model, and of opening it block by block."""
    said = []
    for read in (semprune.load_backbone, lambda name: StreamedModel(find_backbone(name))):
        with pytest.raises(BackboneLoadError) as refused:
            read(str(folder))
        said.append(str(refused.value))
        assert said[-1].startswith(f"backbone '{folder}' could not be loaded: ")
        assert "\n" not in said[-1]
    return said


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("hidden_size", "abc"), ("intermediate_size", [48, 24]), ("num_attention_heads", 0),
        ("rope_parameters", {"rope_type": "no such"}), ("rms_norm_eps", [1]), ("num_hidden_layers", 2**40),
        ("num_hidden_layers", 0), ("architectures", 0.5), ("vocab_size", None),
    ],
)  # fmt: skip
def test_a_field_of_a_wrong_type_or_size_is_refused_by_both_readers(field, value, folder):
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {field: value}))
    read_both_ways(folder)


def test_the_field_is_named_where_transformers_names_it(folder):
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"intermediate_size": [48, 24]}))
    assert all("intermediate_size" in said for said in read_both_ways(folder))


@pytest.mark.parametrize("content", [b"", b"hello", b"\xff\xfe\x80", b"[" * 5000, b"[]", b"null"])
def test_a_configuration_that_is_none_is_refused(content, folder):
    (folder / "config.json").write_bytes(content)
    read_both_ways(folder)


@pytest.mark.parametrize("content", [b"", b"hello", b"\xff", b"[]", b'{"model": {"type": "BPE", "merges": 3}}'])
def test_a_tokenizer_that_is_none_is_refused(content, folder):
    (folder / "tokenizer.json").write_bytes(content)
    with pytest.raises(BackboneLoadError, match="could not be loaded"):
        semprune.load_backbone(str(folder))


@pytest.mark.parametrize(("field", "value"), [("model_max_length", "x"), ("eos_token", 0.5)])
def test_a_tokenizers_field_of_a_wrong_type_is_refused(field, value, folder):
    path = folder / "tokenizer_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {field: value}))
    with pytest.raises(BackboneLoadError, match="could not be loaded"):
        semprune.load_backbone(str(folder))


def test_a_model_whose_weights_are_elsewhere_is_refused_before_anything_is_done():
    lm = tiny_backbone()
    dense = {name: value.clone() for name, value in lm.model.state_dict().items()}
    lm.model.model.layers[1].mlp.to("meta")
    for prune in (
        lambda: semprune.prune_model(lm.model, None, method="magnitude", sparsity=0.5),
        lambda: semprune.prune_model(lm.model, torch.zeros(2, 8, dtype=torch.long), method="wanda", sparsity=0.5),
    ):
        with pytest.raises(OffloadedModelError, match=r"model\.layers\.1\.mlp\.gate_proj\.weight is not in memory"):
            prune()
    kept = {name: value for name, value in lm.model.state_dict().items() if not value.is_meta}
    assert all(torch.equal(value, dense[name]) for name, value in kept.items())
