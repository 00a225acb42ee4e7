"""Experts that no calibration token is routed to: known before the first block is pruned, or kept whole."""

import copy

import pytest
import torch
from safetensors.torch import load_file
from tests.unit.backbones import tiny
from tests.unit.pruning.streamed.streamed_runs import IDS, contents, plan_of, prune_into, saved

from semprune.errors import SettingError, UnroutedExpertError
from semprune.pruning import load_masks, prune_model
from semprune.pruning.streamed import plan as plan_module
from semprune.pruning.streamed.output_folder import RUN, WORK, OutputFolder

EXPERTS = "model.layers.{}.mlp.experts"
SILENT = [f"{EXPERTS.format(layer)}.{kind}.4" for layer in (1, 2) for kind in ("gate_up_proj", "down_proj")]


@pytest.fixture
def mixture():
    """Three blocks of five experts; in the last two, routers score a, -a, b, -b and 0: the last never wins."""
    model = tiny.make_model("Qwen3MoeForCausalLM", num_hidden_layers=3, num_experts=5)
    for layer in (1, 2):
        gate = model.model.layers[layer].mlp.gate.weight.data
        gate[1], gate[3], gate[4] = -gate[0], -gate[2], 0
    return model


@pytest.fixture
def folder(mixture, tmp_path, monkeypatch):
    monkeypatch.setenv("SEMPRUNE_CACHE", str(tmp_path / "cache"))
    mixture.save_pretrained(tmp_path / "model", max_shard_size="10KB")
    return tmp_path / "model"


def in_memory(model, **settings):
    return prune_model(copy.deepcopy(model), IDS, batch_size=4, **settings)


@pytest.mark.parametrize("settings", [{}, {"statistics": "dense"}, {"method": "sparsegpt"}, {"allocation": "owl"}])
def test_all_of_them_are_named_before_the_first_block_is_pruned(folder, tmp_path, settings):
    finished = []
    with pytest.raises(UnroutedExpertError) as refused:
        prune_into(tmp_path / "out", plan_of(folder, **settings), finished.append)

    assert finished == []
    assert all(name in str(refused.value) for name in SILENT)
    assert "unrouted: keep" in str(refused.value)
    assert [path.name for path in (tmp_path / "out" / WORK).iterdir()] == [RUN]
    OutputFolder(tmp_path / "out", {"calibration": "more text"})  # goes into the same folder


@pytest.mark.parametrize("settings", [{}, {"allocation": "owl"}])
def test_kept_experts_stay_whole_and_all_others_are_pruned_as_in_memory(folder, mixture, tmp_path, settings):
    output = prune_into(tmp_path / "out", plan_of(folder, unrouted="keep", **settings))
    report = in_memory(mixture, method="wanda", sparsity=0.5, unrouted="keep", **settings)
    sparsity = {name: share for block in output.blocks for name, share in block["sparsity"].items()}
    masks = load_masks(output.path)

    assert sparsity == report.sparsity
    assert {name for name, share in sparsity.items() if share == 0} == set(SILENT)
    assert all(masks.masks[name].all() for name in SILENT)
    assert all(torch.equal(masks.masks[name], mask) for name, mask in report.masks.items())
    assert masks.settings["unrouted"] == report.settings["unrouted"] == "keep"
    if not settings:
        assert {share for name, share in sparsity.items() if name not in SILENT} == {0.5}


def test_kept_experts_have_their_dense_weights(folder, tmp_path):
    prune_into(tmp_path / "out", plan_of(folder, "sparsegpt", unrouted="keep"))
    dense, pruned = (
        {name: value for file in at.glob("model*.safetensors") for name, value in load_file(file).items()}
        for at in (folder, tmp_path / "out")
    )
    silent = [name for name in dense if name.startswith("model.layers.2.mlp.experts.4.")]
    others = [name for name in dense if name.startswith("model.layers.2.mlp.experts.2.")]

    assert silent
    assert all(torch.equal(pruned[name], dense[name]) for name in silent)
    assert not any(torch.equal(pruned[name], dense[name]) for name in others)


def test_one_that_is_found_late_loses_no_finished_block(folder, tmp_path, monkeypatch):
    """As where pruning the first blocks turns a router away: the same folder goes on, and ends as if begun so."""
    with monkeypatch.context() as blind:
        blind.setattr(plan_module, "check_routing", lambda *_: None)
        with pytest.raises(UnroutedExpertError):
            prune_into(tmp_path / "out", plan_of(folder))
    finished = []
    prune_into(tmp_path / "out", plan_of(folder, unrouted="keep"), finished.append)
    prune_into(tmp_path / "fresh", plan_of(folder, unrouted="keep"))

    assert finished == [2, 3]
    assert contents(tmp_path / "out") == contents(tmp_path / "fresh")


def test_a_model_without_experts_is_not_run_twice(tmp_path, monkeypatch):
    monkeypatch.setenv("SEMPRUNE_CACHE", str(tmp_path / "cache"))

    def refuse(*_):
        raise AssertionError

    monkeypatch.setattr("semprune.pruning.streamed.dense_pass.dense_pass", refuse)
    assert prune_into(tmp_path / "out", plan_of(saved(tmp_path / "model"))).complete


def test_the_setting_is_recorded_only_where_it_is_kept(mixture):
    model = tiny.make_model("LlamaForCausalLM")
    assert "unrouted" not in in_memory(model, method="wanda", sparsity=0.5).settings
    assert "unrouted" not in in_memory(model, method="magnitude", sparsity=0.5, unrouted="keep").settings
    with pytest.raises(SettingError, match="unrouted must be 'refuse' or 'keep', got 'drop'"):
        in_memory(mixture, method="wanda", sparsity=0.5, unrouted="drop")
