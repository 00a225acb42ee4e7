"""Streamed pruning: what it writes is what pruning in memory gives, for every family; and it survives being killed."""

import errno
import json
import os

import pytest
import torch
from safetensors.torch import load_file, save_file
from tests.ranks import run_ranks
from tests.unit.backbones import tiny
from tests.unit.pruning.streamed.streamed_runs import IDS, contents, kill_everywhere, plan_of, prune_into, saved
from transformers import AutoModelForCausalLM

from semprune.errors import (
    BackboneLoadError,
    CorruptArtefactError,
    NonFiniteError,
    OutputOccupiedError,
    OutputWriteError,
)
from semprune.io.bits import hash_masks
from semprune.pruning import StoredMasks, load_masks, prune_model, save_masks
from semprune.pruning.masks.file import MASKS, MaskFile
from semprune.pruning.streamed.command import _weight_bytes
from semprune.pruning.streamed.output_folder import WORK, OutputFolder
from semprune.pruning.streamed.plan import PrunePlan

pytestmark = pytest.mark.usefixtures("cache")


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("SEMPRUNE_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def folder(tmp_path):
    return saved(tmp_path / "model", num_hidden_layers=3)


def _load(folder, dtype="auto"):
    return AutoModelForCausalLM.from_pretrained(folder, dtype=dtype).eval()


def _same(one, other):
    with torch.no_grad():
        assert torch.equal(one(IDS).logits, other(IDS).logits)
    for (name, value), (_, expected) in zip(one.state_dict().items(), other.state_dict().items(), strict=True):
        assert value.dtype == expected.dtype, name
        assert torch.equal(value, expected), name


@pytest.mark.parametrize(("architecture", "variant"), tiny.VARIANTS)
def test_every_family_gives_what_pruning_in_memory_gives(architecture, variant, tmp_path):
    folder = saved(tmp_path / "model", architecture, variant)
    prune_into(tmp_path / "out", plan_of(folder))

    expected = _load(folder)
    report = prune_model(expected, IDS, method="wanda", sparsity=0.5, batch_size=4)
    _same(_load(tmp_path / "out"), expected)
    stored = load_masks(tmp_path / "out" / MASKS)
    assert hash_masks(stored.masks) == report.mask_hash
    assert (stored.method, stored.calibration) == ("wanda", report.calibration)
    assert stored.settings == report.settings


@pytest.mark.parametrize(
    ("method", "settings"),
    [
        ("magnitude", {}),
        ("wanda", {"statistics": "dense"}),
        ("wanda", {"selection": "reference"}),
        ("wanda", {"pattern": "2:4"}),
        ("wanda", {"allocation": "owl", "options": {"owl_spread": 0.2}}),
        ("magnitude", {"allocation": "owl"}),
        ("ria", {}),
        ("ria", {"pattern": "2:4", "options": {"permutation": "assignment"}}),
        ("sparsegpt", {}),
        ("sparsegpt", {"pattern": "1:4"}),
    ],
)
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_every_way_of_pruning_and_dtype(folder, tmp_path, method, settings, dtype):
    prune_into(tmp_path / "out", plan_of(folder, method, dtype=dtype, **settings))
    expected = _load(folder, getattr(torch, dtype))
    amount = settings if "pattern" in settings else {"sparsity": 0.5, **settings}
    given = {name: value for name, value in amount.items() if name != "options"}
    report = prune_model(expected, IDS, method=method, batch_size=4, **given, **settings.get("options", {}))
    stored = StoredMasks.of(report, plan_of(folder).streamed.fingerprint)
    save_masks(tmp_path / "expected", stored)
    assert (tmp_path / "out" / MASKS).read_bytes() == (tmp_path / "expected").read_bytes()
    _same(_load(tmp_path / "out"), expected)
    assert json.loads((tmp_path / "out" / "config.json").read_text())["dtype"] == dtype


@pytest.mark.parametrize(
    ("file", "changes"),
    [
        ("config.json", {"rms_norm_eps": 0.1}),
        ("config.json", {"hidden_act": "gelu"}),
        ("tokenizer_config.json", {"a": 1}),
    ],
)
def test_finished_blocks_of_another_configuration_are_not_gone_on_from(folder, tmp_path, file, changes):
    def killed(finished):
        raise KeyboardInterrupt

    (folder / "tokenizer_config.json").write_text("{}")
    with pytest.raises(KeyboardInterrupt):
        prune_into(tmp_path / "out", plan_of(folder), killed)
    path = folder / file
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    with pytest.raises(OutputOccupiedError, match="an unfinished run with other settings \\(fingerprint: "):
        prune_into(tmp_path / "out", plan_of(folder))
    prune_into(tmp_path / "anew", plan_of(folder))


def test_one_block_is_in_memory_at_a_time(folder, tmp_path):
    plan = plan_of(folder)
    seen = []

    def real_parameters(finished):
        seen.append(sum(not value.is_meta for value in plan.streamed.model.parameters()))

    inside = []
    load = plan.streamed.conversion.load
    names = [name for name, _ in plan.streamed.model.named_parameters()]

    def spy(tensors):
        load(tensors)
        real = [n for n, v in zip(names, plan.streamed.model.parameters(), strict=True) if not v.is_meta]
        inside.append({name.split(".")[2] for name in real if ".layers." in name})

    plan.streamed.conversion.load = spy
    prune_into(tmp_path / "out", plan, real_parameters)
    assert seen == [0, 0, 0]
    assert inside == [set(), {"0"}, {"0"}, {"1"}, {"2"}]  # embeddings, block 0 to record calls, then block by block


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork; un-skip where the system has it")
@pytest.mark.parametrize("step", [5, pytest.param(1, marks=pytest.mark.slow)])
def test_killed_twice_at_any_rename_it_ends_with_the_same_bytes(tmp_path, step):
    folder = saved(tmp_path / "model")
    outs = tmp_path / "outs"
    run_ranks(kill_everywhere, 1, folder, outs, step)  # it forks: in a process without threads
    whole = contents(outs / "whole")
    runs = sorted(path.name for path in outs.iterdir())
    assert len(runs) * step > 12  # 2 blocks of masks, weights, hidden states and record, and the files of the end
    for run in runs:
        assert contents(outs / run) == whole, run
    assert not list(outs.rglob(".*.tmp"))
    assert not list(outs.rglob(WORK))


@pytest.mark.parametrize("failing", range(1, 12, 2))
def test_a_full_disk_is_a_typed_error_and_loses_nothing(folder, tmp_path, monkeypatch, failing):
    prune_into(tmp_path / "whole", plan_of(folder))
    calls, sync = [], os.fsync

    def full(descriptor):
        calls.append(descriptor)
        if len(calls) == failing:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", full)
    done = []
    with pytest.raises(OutputWriteError, match=r"No space left on device.*same command again"):
        prune_into(tmp_path / "out", plan_of(folder), done.append)
    assert len(OutputFolder(tmp_path / "out", plan_of(folder).identity()).blocks) >= len(done)
    again = []
    prune_into(tmp_path / "out", plan_of(folder), again.append)
    assert again == list(range(len(done) + 1, 4))
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")


def test_other_settings_are_refused_and_named(folder, tmp_path):
    _interrupt(folder, tmp_path / "out", after=1)
    before = contents(tmp_path / "out")
    with pytest.raises(OutputOccupiedError, match=r"unfinished run with other settings \(settings: .*0\.5.*0\.25"):
        prune_into(tmp_path / "out", plan_of(folder, sparsity=0.25))
    with pytest.raises(OutputOccupiedError, match="masks_only: there False, here True"):
        prune_into(tmp_path / "out", plan_of(folder, masks_only=True))
    assert contents(tmp_path / "out") == before
    prune_into(tmp_path / "out", plan_of(folder))
    with pytest.raises(OutputOccupiedError, match="a result with other settings"):
        prune_into(tmp_path / "out", plan_of(folder, dtype="bfloat16"))


def test_a_finished_run_is_not_done_again(folder, tmp_path):
    prune_into(tmp_path / "out", plan_of(folder))
    times = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").iterdir()}
    blocks = []
    assert prune_into(tmp_path / "out", plan_of(folder), blocks.append).complete
    assert blocks == []
    assert times == {path: path.stat().st_mtime_ns for path in (tmp_path / "out").iterdir()}


def test_lost_hidden_states_of_an_unfinished_run(folder, tmp_path):
    _interrupt(folder, tmp_path / "out", after=1)
    (tmp_path / "out" / WORK / "hidden-00001.bin").write_bytes(b"short")
    with pytest.raises(CorruptArtefactError, match=r"hidden-00001\.bin is not readable.*Delete"):
        prune_into(tmp_path / "out", plan_of(folder))


def test_masks_alone_and_applied_again_give_the_pruned_folder(folder, tmp_path):
    prune_into(tmp_path / "whole", plan_of(folder))
    prune_into(tmp_path / "masks", plan_of(folder, masks_only=True))
    assert list(contents(tmp_path / "masks")) == [MASKS]

    plan = plan_of(folder)
    masks = MaskFile(tmp_path / "masks" / MASKS)
    prune_into(tmp_path / "again", PrunePlan(plan.streamed, masks_only=False, masks=masks))
    assert contents(tmp_path / "again") == contents(tmp_path / "whole")


def test_a_weight_that_is_not_finite_names_its_matrix_and_keeps_finished_blocks(folder, tmp_path):
    model = tiny.make_model("LlamaForCausalLM", num_hidden_layers=3)
    with torch.no_grad():
        model.model.layers[1].mlp.up_proj.weight[0, 0] = float("nan")
    broken = tmp_path / "broken"
    model.save_pretrained(broken)
    with pytest.raises(NonFiniteError, match=r"model\.layers\.1\.mlp\.up_proj"):
        prune_into(tmp_path / "out", plan_of(broken))
    assert len(OutputFolder(tmp_path / "out", plan_of(broken).identity()).blocks) == 1


@pytest.mark.parametrize(
    ("name", "blocks"),
    [("model.embed_tokens.weight", 0), ("model.norm.weight", 0), ("lm_head.weight", 0),
     ("model.layers.1.input_layernorm.weight", 1)],
)  # fmt: skip
@pytest.mark.parametrize("method", ["magnitude", "wanda"])
def test_what_is_not_finite_beside_the_matrices_is_named(tmp_path, method, name, blocks):
    model = tiny.make_model("LlamaForCausalLM", num_hidden_layers=3)
    model.get_parameter(name).data[-1] = float("inf")
    model.save_pretrained(tmp_path / "broken")
    done = []
    with pytest.raises(NonFiniteError, match=f"^{name} holds"):
        prune_into(tmp_path / "out", plan_of(tmp_path / "broken", method), done.append)
    assert len(done) == blocks


def test_tensors_without_a_place_are_copied_byte_for_byte(tmp_path):
    folder = saved(tmp_path / "model", num_hidden_layers=3)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"num_hidden_layers": 2, "num_nextn_predict_layers": 1}))
    first = min(folder.glob("model-*.safetensors"))
    extra = {"mtp.fc.weight": torch.full((2, 3), float("nan")), "model.layers.2.eh_proj.weight": torch.arange(4)}
    save_file(load_file(first) | extra, first, {"format": "pt"})
    every = {name: value for path in folder.glob("*.safetensors") for name, value in load_file(path).items()}

    prune_into(tmp_path / "out", plan_of(folder, dtype="bfloat16"))

    index = json.loads((tmp_path / "out" / "model.safetensors.index.json").read_text())["weight_map"]
    assert index.keys() == every.keys()
    beyond = [name for name in every if name.startswith(("model.layers.2.", "mtp."))]
    assert len(beyond) > 10
    for name in beyond:
        value = load_file(tmp_path / "out" / index[name])[name]
        assert value.dtype == every[name].dtype
        assert value.numpy().tobytes() == every[name].numpy().tobytes()
    kept = load_file(tmp_path / "out" / index["model.layers.1.mlp.up_proj.weight"])
    assert kept["model.layers.1.mlp.up_proj.weight"].dtype == torch.bfloat16


def test_a_head_stored_instead_of_the_embeddings_it_is_tied_to(tmp_path):
    folder = saved(tmp_path / "model", num_hidden_layers=2, tie_word_embeddings=True)
    prune_into(tmp_path / "expected", plan_of(folder))
    index = json.loads((folder / "model.safetensors.index.json").read_text())
    file = index["weight_map"].pop("model.embed_tokens.weight")
    stored = load_file(folder / file)
    save_file(stored | {"lm_head.weight": stored.pop("model.embed_tokens.weight")}, folder / file, {"format": "pt"})
    index["weight_map"]["lm_head.weight"] = file
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))

    prune_into(tmp_path / "out", plan_of(folder))

    _same(_load(tmp_path / "out"), _load(tmp_path / "expected"))
    stored_bytes = sum(value.numel() * value.element_size() for path in folder.glob("*.safetensors")
                       for value in load_file(path).values())  # fmt: skip
    assert _weight_bytes(plan_of(folder)) == stored_bytes  # the head is not counted beside the embeddings
    assert json.loads((tmp_path / "out" / "model.safetensors.index.json").read_text())["weight_map"].keys() == {
        *index["weight_map"]
    }


def test_a_shard_that_is_cut_short(folder):
    shard = max(folder.glob("model-*.safetensors"))
    shard.write_bytes(shard.read_bytes()[:-100])
    with pytest.raises(BackboneLoadError, match=f"its weights are damaged.*{shard.name}"):
        plan_of(folder)


def test_a_folder_that_lacks_a_tensor(folder):
    index = json.loads((folder / "model.safetensors.index.json").read_text())
    name = "model.layers.1.mlp.up_proj.weight"
    shard = folder / index["weight_map"][name]
    save_file({key: value for key, value in load_file(shard).items() if key != name}, shard, {"format": "pt"})
    with pytest.raises(BackboneLoadError, match=rf"the weights lack {name}"):
        plan_of(folder)


def _interrupt(folder, out, after):
    def stop(finished):
        if finished == after:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        prune_into(out, plan_of(folder), stop)
