"""Which file holds which tensor: every reader of a folder takes the same one, or all refuse it."""

import json
import logging

import pytest
import torch
from safetensors.torch import load_file, save_file
from tests.unit.backbones import tiny
from transformers import AutoModelForCausalLM

from semprune.backbones import load_backbone
from semprune.backbones.loading.source import find_backbone
from semprune.backbones.streamed import StreamedModel
from semprune.backbones.weights.fingerprint import fingerprint_folder
from semprune.backbones.weights.stored_tensors import INDEX, SINGLE, Checkpoint, weight_files
from semprune.errors import BackboneLoadError

pytestmark = pytest.mark.usefixtures("cache")
UP, DOWN = "model.layers.0.mlp.up_proj.weight", "model.layers.1.mlp.down_proj.weight"
PT = {"format": "pt"}


@pytest.fixture
def saved(tokenizer, tmp_path):
    """Give a function that saves a tiny model in several shards, or in one file."""

    def save(architecture="LlamaForCausalLM", variant=None, shard="4KB", **changes):
        folder = tmp_path / "model"
        tiny.make_model(architecture, variant, **changes).save_pretrained(folder, max_shard_size=shard)
        tokenizer.save_pretrained(folder)
        return folder

    return save


def listed(folder):
    return json.loads((folder / INDEX).read_text())["weight_map"]


def relist(folder, weight_map):
    (folder / INDEX).write_text(json.dumps({"metadata": {}, "weight_map": weight_map}))


def change(path, **changes):
    """Write a file of weights again with other tensors; None leaves one out."""
    tensors = load_file(path) | {name.replace("__", "."): value for name, value in changes.items()}
    save_file({name: value for name, value in tensors.items() if value is not None}, path, PT)


def put(path, name, value):
    change(path, **{name.replace(".", "__"): value})


def both(folder):
    """What each of the two readers has of every parameter; they must not differ."""
    loaded = load_backbone(str(folder)).model.state_dict()
    streamed = StreamedModel(find_backbone(str(folder)))
    found = {}
    for index in range(len(streamed.blocks)):
        with streamed.block(index) as block:
            prefix = f"{streamed.family.layers}.{index}."
            found |= {f"{prefix}{name}": value.clone() for name, value in block.state_dict().items()}
    with streamed.around_blocks():
        found |= {name: value.clone() for name, value in streamed.model.state_dict().items() if not value.is_meta}
    assert all(torch.equal(loaded[name], value) for name, value in found.items())
    assert len(found) > 10
    return loaded


def test_one_file_beside_an_index_is_what_transformers_reads(saved, caplog):
    folder = saved()
    shards = Checkpoint(folder).read(listed(folder))
    before = fingerprint_folder(folder, "a", "r")
    save_file({name: value * 0.5 for name, value in shards.items()}, folder / SINGLE, PT)

    read = both(folder)

    assert torch.equal(read[UP], shards[UP] * 0.5)
    assert torch.equal(AutoModelForCausalLM.from_pretrained(folder).state_dict()[UP], read[UP])
    assert fingerprint_folder(folder, "a", "r") != before
    assert weight_files(folder) == [folder / SINGLE]
    assert f"{SINGLE} is read, as transformers does, and not what {INDEX} lists" in caplog.text


@pytest.mark.parametrize(
    ("architecture", "changes"),
    [("LlamaForCausalLM", {}), ("LlamaForCausalLM", {"tie_word_embeddings": True}), ("MixtralForCausalLM", {})],
)
def test_a_stale_copy_in_another_shard_is_never_read(saved, architecture, changes, caplog):
    folder = saved(architecture, **changes)
    weight_map = listed(folder)
    right, before = both(folder), fingerprint_folder(folder, "a", "r")
    names = ["model.embed_tokens.weight", next(name for name in weight_map if ".mlp" in name or "experts.1" in name)]
    for name in names:
        value = Checkpoint(folder).read([name])[name]
        for shard in set(weight_map.values()) - {weight_map[name]}:  # before and after the right one
            put(folder / shard, name, torch.full_like(value, 7.0))

    found = both(folder)

    assert all(torch.equal(found[name], value) for name, value in right.items())
    assert fingerprint_folder(folder, "a", "r") == before
    assert Checkpoint(folder).copied == sorted(names)
    assert f"files that {INDEX} does not name for them also hold" in caplog.text


def test_shards_of_any_name(saved):
    folder = saved()
    weight_map = listed(folder)
    files = sorted({*weight_map.values()})
    other = {file: f"model.safetensors-{number:05d}-of-9.safetensors" for number, file in enumerate(files)}
    for file, name in other.items():
        (folder / file).rename(folder / name)
    relist(folder, {name: other[file] for name, file in weight_map.items()})
    assert {path.name for path in weight_files(folder)} == set(other.values())
    assert both(folder).keys() == weight_map.keys()


def test_a_tensor_that_the_index_does_not_list_is_read_as_transformers_reads_it(saved):
    folder = saved()
    weight_map = listed(folder)
    relist(folder, {name: file for name, file in weight_map.items() if name != UP})
    assert torch.equal(both(folder)[UP], AutoModelForCausalLM.from_pretrained(folder).state_dict()[UP])


def _lacking(folder):
    put(folder / listed(folder)[UP], UP, None)
    put(folder / listed(folder)["model.norm.weight"], UP, torch.zeros(24, 16))


def _unlisted(folder):
    weight_map = listed(folder)
    put(folder / next(file for file in weight_map.values() if file != weight_map[UP]), UP, torch.zeros(24, 16))
    relist(folder, {name: file for name, file in weight_map.items() if name != UP})


def _outside(folder):
    relist(folder, listed(folder) | {UP: "../elsewhere.safetensors"})


def _adapter(folder):
    (folder / "adapter_config.json").write_text("{}")


def _named_in_the_configuration(folder):
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"transformers_weights": "other.safetensors"}))


def _codes(folder):
    put(folder / listed(folder)[DOWN], DOWN, torch.ones(16, 24, dtype=torch.int32))


def _twice(folder):
    put(folder / listed(folder)[UP], UP.removeprefix("model."), torch.zeros(24, 16))


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (_lacking, f"the weights lack {UP}, which {INDEX} lists"),
        (_unlisted, f"several files hold {UP}, and {INDEX} does not say which counts"),
        (_outside, f"{INDEX} is damaged .it names ../elsewhere.safetensors"),
        (_adapter, "an adapter lies beside its weights"),
        (_named_in_the_configuration, "config.json names a file of weights itself .transformers_weights"),
        (_codes, f"{DOWN}: stored as torch.int32, not as floating-point numbers"),
        (_twice, f"{UP.removeprefix('model.')} and {UP} are both stored for {UP}"),
    ],
)
def test_what_readers_would_take_differently_all_refuse_by_name(saved, damage, said):
    folder = saved()
    damage(folder)
    with pytest.raises(BackboneLoadError, match=said):
        load_backbone(str(folder))
    with pytest.raises(BackboneLoadError, match=said):
        StreamedModel(find_backbone(str(folder)))


def test_tensors_without_a_place_are_named(saved, caplog):
    folder = saved(shard="1GB")
    put(folder / SINGLE, "mtp.fc.weight", torch.ones(2, 2))
    put(folder / SINGLE, UP.replace("layers.0", "layers.2"), torch.ones(24, 16))
    with caplog.at_level(logging.WARNING):
        load_backbone(str(folder))
    expected = ["model.layers.2.mlp.up_proj.weight", "mtp.fc.weight"]
    assert f"stores {', '.join(expected)}, for which the model has no place" in caplog.text
    assert StreamedModel(find_backbone(str(folder))).conversion.without_place == expected


def test_a_head_stored_instead_of_the_embeddings_it_is_tied_to(saved):
    folder = saved(shard="1GB", tie_word_embeddings=True)
    value = load_file(folder / SINGLE)["model.embed_tokens.weight"]
    put(folder / SINGLE, "model.embed_tokens.weight", None)
    put(folder / SINGLE, "lm_head.weight", value)
    assert torch.equal(both(folder)["model.embed_tokens.weight"], value)
