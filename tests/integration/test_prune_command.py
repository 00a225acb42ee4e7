"""`semprune prune` from its command line to a folder that transformers loads; and what a user's mistakes look like."""

import json
import os
import shutil
from pathlib import Path

import pytest
import torch
import yaml
from huggingface_hub import metadata_load
from tests.integration.tiny import TEXTS, tiny_backbone
from transformers import AutoModelForCausalLM, AutoTokenizer

from semprune.backbones import load_backbone
from semprune.cli.__main__ import main
from semprune.errors import BackboneMismatchError
from semprune.pruning import find_method
from semprune.pruning.masks.apply import apply_mask_file
from semprune.pruning.masks.file import MASKS

SHORT = ["--calibration.sequences", "12", "--calibration.length", "16", "--calibration.batch_size", "4"]


@pytest.fixture(autouse=True)
def offline(tmp_path, monkeypatch):
    monkeypatch.setenv("SEMPRUNE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("semprune.data.modules.calibration.fetch_calibration", lambda spec, source: None)
    monkeypatch.setattr("semprune.data.calibration.text.read_text", lambda spec, source: " ".join(TEXTS))


@pytest.fixture
def folder(tmp_path):
    lm = tiny_backbone()
    lm.model.save_pretrained(tmp_path / "model")
    lm.tokenizer.save_pretrained(tmp_path / "model")
    return tmp_path / "model"


def _prune(folder, out, *more):
    return main(["prune", "--backbone.name", str(folder), "--output", str(out), *SHORT, *map(str, more)])


def test_a_pruned_folder_is_the_model_pruned_in_memory_with_its_tokenizer(folder, tmp_path, capsys):
    assert _prune(folder, tmp_path / "out", "--sparsity", 0.5) == 0
    said = capsys.readouterr()
    assert "down" in said.out
    assert "0.5000" in said.out
    assert str(tmp_path / "out") in said.out
    assert "needs at most" in said.err

    lm = load_backbone(str(folder))
    ids = torch.tensor(lm.tokenizer(TEXTS[0])["input_ids"])[None]
    again = AutoModelForCausalLM.from_pretrained(tmp_path / "out").eval()
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "out")
    about = json.loads((tmp_path / "out" / "provenance.json").read_text())
    assert tokenizer(TEXTS[0])["input_ids"] == ids[0].tolist()
    apply_mask_file(lm, tmp_path / "out" / MASKS)
    with torch.no_grad():
        assert torch.equal(again(ids).logits, lm.model(ids).logits)
    assert about["sparsity"]["total"] == 0.5
    assert about["calibration"]["c4"] == about["run"]["calibration"]
    assert about["special_tokens"] == {"calibration": "none"}
    assert about["backbone"]["fingerprint"] == str(lm.fingerprint)
    assert about["peak_memory_bytes"] > 0
    assert load_backbone(str(tmp_path / "out")).fingerprint != lm.fingerprint
    card = metadata_load(tmp_path / "out" / "README.md")["semprune"]
    assert card["calibration"].pop("sha256") == about["run"]["calibration"]
    assert card["calibration"] == {"name": "c4", "sequences": 12, "length": 16, "seed": 0}
    assert (card["method"], card["settings"], card["measured_sparsity"]) == ("wanda", about["run"]["settings"], 0.5)
    assert str(tmp_path) not in (tmp_path / "out" / "README.md").read_text()


def test_calibration_begins_as_the_tokenizer_begins_texts_or_as_asked(folder, tmp_path):
    beginning = tmp_path / "beginning"
    shutil.copytree(folder, beginning)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.add_bos_token = True
    tokenizer.save_pretrained(beginning)
    about = {}
    for name, place, options in (
        ("plain", folder, ()), ("auto", beginning, ()), ("true", folder, ("--calibration.add_bos", "true")),
        ("false", beginning, ("--calibration.add_bos", "false")),
    ):  # fmt: skip
        assert _prune(place, tmp_path / name, "--sparsity", 0.5, "--masks-only", *options) == 0
        about[name] = json.loads((tmp_path / name / "provenance.json").read_text())
    used = {name: (each["special_tokens"]["calibration"], each["calibration"]["c4"]) for name, each in about.items()}
    assert [used[name][0] for name in ("plain", "auto", "true", "false")] == ["none", "<s>", "<s>", "none"]
    assert used["plain"] == used["false"]
    assert used["auto"] == used["true"]
    assert used["plain"][1] != used["auto"][1]


def test_masks_alone_then_applied_again(folder, tmp_path):
    masks, whole = tmp_path / "masks", tmp_path / "whole"
    assert _prune(folder, whole, "--sparsity", 0.5) == 0
    assert _prune(folder, masks, "--sparsity", 0.5, "--masks-only") == 0
    assert sorted(path.name for path in masks.iterdir()) == ["README.md", "provenance.json", "semprune"]
    (tmp_path / "former").mkdir()
    shutil.copyfile(masks / MASKS, tmp_path / "former" / "masks.safetensors")
    for number, given in enumerate((masks, masks / MASKS, tmp_path / "former")):
        again = tmp_path / f"again-{number}"
        assert _prune(folder, again, "--masks", given) == 0
        for path in (path.relative_to(whole) for path in whole.rglob("*") if path.is_file()):
            told = path.name != "README.md" or number < 2  # a file alone knows its calibration by its hash only
            if path.name != "provenance.json" and told:
                assert (again / path).read_bytes() == (whole / path).read_bytes(), path


def test_all_files_can_be_read_by_whom_the_umask_allows_and_no_loader_takes_masks_for_weights(folder, tmp_path):
    mask = os.umask(0o002)
    try:
        assert _prune(folder, tmp_path / "out", "--sparsity", 0.5) == 0
    finally:
        os.umask(mask)
    files = [path for path in (tmp_path / "out").rglob("*") if path.is_file()]
    assert {oct(path.stat().st_mode & 0o777) for path in files} == {"0o664"}
    weights = sorted(path.name for path in (tmp_path / "out").glob("*.safetensors"))
    assert weights == [f"model-0000{number}-of-00003.safetensors" for number in (1, 2, 3)]


def test_the_same_command_again_does_nothing(folder, tmp_path, capsys):
    assert _prune(folder, tmp_path / "out", "--sparsity", 0.5) == 0
    before = (tmp_path / "out" / "provenance.json").read_bytes()
    capsys.readouterr()
    assert _prune(folder, tmp_path / "out", "--sparsity", 0.5) == 0
    assert "2 blocks were finished before" in capsys.readouterr().out
    assert (tmp_path / "out" / "provenance.json").read_bytes() == before


def test_a_pruned_folder_can_be_pruned_further(folder, tmp_path):
    assert _prune(folder, tmp_path / "half", "--sparsity", 0.5) == 0
    assert _prune(tmp_path / "half", tmp_path / "more", "--sparsity", 0.75, "--method", "magnitude") == 0
    about = json.loads((tmp_path / "more" / "provenance.json").read_text())
    assert about["sparsity"]["total"] == 0.75


def test_masks_of_another_backbone_are_refused(folder, tmp_path, capsys):
    assert _prune(folder, tmp_path / "masks", "--sparsity", 0.5, "--masks-only") == 0
    other = tmp_path / "other"
    lm = load_backbone(str(folder))
    lm.model.lm_head.weight.data[0, 0] += 1
    lm.model.save_pretrained(other)
    lm.tokenizer.save_pretrained(other)
    masks = tmp_path / "masks" / MASKS
    assert _prune(other, tmp_path / "out", "--masks", masks) == 2
    assert "BackboneMismatchError" in capsys.readouterr().err
    with pytest.raises(BackboneMismatchError):
        apply_mask_file(load_backbone(str(other)), masks)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["--method", "wnda", "--sparsity", "0.5"], "UnknownMethodError: unknown pruning method 'wnda'; did you mean"),
        (["--sparsity", "0.5", "--pattern", "2:4"], "SettingError: sparsity or pattern must be given, exactly one"),
        ([], "SettingError: sparsity or pattern must be given, exactly one of the two, got 'neither'"),
        (["--sparsity", "50"], "SparsityRangeError: sparsity must be in [0, 1), got 50. A percentage? Pass 0.5."),
        (["--pattern", "3:7"], "SettingError: pattern must be N:M with an M that divides the 32 inputs"),
        (["--sparsity", "0.5", "--calibration.name", "c5"], "UnknownCalibrationError: unknown calibration set 'c5'"),
        (["--sparsity", "0.5", "--calibration.sequences", "5000"], "EmptyCalibrationError: calibration set 'c4' has"),
        (["--sparsity", "0.5", "--calibration.length", "65"], "SettingError: calibration length must be at most 64"),
        (["--sparsity", "0.5", "--memory-limit", "0.001"], "MemoryLimitError: this run would need about"),
        (["--sparsity", "0.5", "--memory-limit", "0"], "SettingError: memory_limit must be above 0"),
        (["--sparsity", "0.5", "--backbone.dtype", "float8"], "SettingError: dtype must be one of"),
        (["--sparsity", "0.5", "--backbone.device", "abacus"], "SettingError: device must be a device"),
        (["--pattern", "4:2"], "SettingError: pattern must be N:M with 0 < N < M"),
        (["--masks", "nowhere.safetensors"], "CorruptArtefactError: nowhere.safetensors is not readable"),
        (["--masks", "m", "--sparsity", "0.5"], "SettingError: masks must be left out where masks are to be computed"),
        (["--protect", "sentiment", "--protect.strength", "0"], "SettingError: protect.strength must be above 0"),
        (["--protect", "general", "--protect.strength", "3"], "SettingError: protect must be general alone"),
        (["--masks", "m", "--protect", "sentiment"], "left out where masks are to be computed (protect)"),
    ],
)
def test_a_mistake_is_one_typed_line_before_anything_is_written(folder, tmp_path, capsys, given, said):
    assert _prune(folder, tmp_path / "out", *given) == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_pattern_without_quotes_in_yaml_is_refused_with_the_reason(folder, tmp_path, capsys):
    (tmp_path / "config.yaml").write_text("pattern: 2:4\n")
    assert _prune(folder, tmp_path / "out", "--config", tmp_path / "config.yaml") == 2
    assert "looks like one in quotes" in capsys.readouterr().err


def test_a_folder_without_safetensors(folder, tmp_path, capsys):
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    assert _prune(folder, tmp_path / "out", "--sparsity", 0.5) == 2
    assert "BackboneLoadError" in capsys.readouterr().err


def test_a_disk_without_room_is_refused_before_work(folder, tmp_path, capsys, monkeypatch):
    usage = type("Usage", (), {"free": 1000})
    monkeypatch.setattr("shutil.disk_usage", lambda path: usage)
    assert _prune(folder, tmp_path / "out", "--sparsity", 0.5) == 2
    assert "OutputWriteError" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_masks_alone_of_a_method_that_changes_weights_are_refused(folder, tmp_path, capsys, monkeypatch):
    assert _prune(folder, tmp_path / "masks", "--sparsity", 0.5, "--masks-only") == 0
    monkeypatch.setattr(type(find_method("wanda")), "changes_weights", True)
    assert _prune(folder, tmp_path / "out", "--sparsity", 0.5, "--masks-only") == 2
    assert "MasksOnlyError: method 'wanda' changes the weights" in capsys.readouterr().err
    assert _prune(folder, tmp_path / "out", "--masks", tmp_path / "masks" / MASKS) == 2
    assert "MasksOnlyError" in capsys.readouterr().err


@pytest.mark.parametrize("path", sorted(Path("configs/prune").glob("*.yaml")), ids=lambda path: path.stem)
def test_every_shipped_configuration_prunes(folder, tmp_path, path):
    given = yaml.safe_load(path.read_text())
    assert given["method"] == path.stem
    assert main(["prune", "--config", str(path), "--backbone.name", str(folder), "--output", str(tmp_path / "out"),
                 *SHORT]) == 0  # fmt: skip
    about = json.loads((tmp_path / "out" / "provenance.json").read_text())
    assert about["sparsity"]["total"] == pytest.approx(0.5, abs=0.01)
