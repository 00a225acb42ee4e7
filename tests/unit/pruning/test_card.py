"""The card of a model that was pruned, or whose neurons were removed, in memory."""

import pytest
import torch
from huggingface_hub import metadata_load
from tests.models import llama

from semprune import write_card
from semprune.artefacts.card import Origin
from semprune.errors import CorruptArtefactError
from semprune.pruning import prune_model, remove_neurons
from semprune.pruning.card import write_pruning_card

IDS = torch.randint(3, 40, (4, 10), generator=torch.Generator().manual_seed(5))


@pytest.fixture
def base(tmp_path):
    llama().save_pretrained(tmp_path / "base")
    (tmp_path / "base" / "README.md").write_text("---\nbase_model: org/base\nlicense: mit\n---\n")
    return tmp_path / "base"


def test_a_pruned_model_says_how_and_from_what(base, tmp_path):
    model = llama()
    report = prune_model(model, IDS, method="wanda", pattern="2:4")
    model.save_pretrained(tmp_path / "out")
    path = write_card(tmp_path / "out", report, str(base))
    data = metadata_load(path)
    assert (data["base_model"], data["license"], data["tags"]) == ("org/base", "mit", ["semprune", "pruned", "wanda"])
    assert data["semprune"]["measured_sparsity"] == 0.5
    assert data["semprune"]["settings"]["pattern"] == "2:4"
    assert data["semprune"]["calibration"] == {"sha256": report.calibration}
    assert "# base, pruned by Wanda to 2:4\n" in path.read_text()
    assert str(tmp_path) not in path.read_text()


def test_removed_neurons_are_counted(base, tmp_path):
    model = llama()
    width = model.config.intermediate_size
    report = remove_neurons(model, IDS, sparsity=0.5)
    model.save_pretrained(tmp_path / "out")
    path = write_card(tmp_path / "out", report, str(base))
    about = metadata_load(path)["semprune"]
    assert (about["neurons_before"], about["neurons_kept"]) == (width, width // 2)
    assert about["parameters_removed"] == report.parameters_removed > 0


def test_a_folder_without_a_model_is_refused(base, tmp_path):
    with pytest.raises(CorruptArtefactError, match="save_pretrained"):
        write_card(tmp_path, prune_model(llama(), IDS, method="magnitude", sparsity=0.5), str(base))


def test_no_setting_tells_a_path_of_this_machine(tmp_path):
    settings = {"sparsity": 0.5, "protect": "/home/ada/words.txt", "own": "./own.yaml"}
    calibration = {"name": str(tmp_path / "manuals.txt"), "sha256": "0"}
    path = write_pruning_card(tmp_path, Origin("own"), "wanda", settings, 0.5, calibration=calibration)
    assert metadata_load(path)["semprune"]["settings"] == {"sparsity": 0.5, "protect": "words.txt", "own": "own.yaml"}
    assert "ada" not in path.read_text()
    assert "name manuals.txt" in path.read_text()
