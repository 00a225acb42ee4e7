"""A hub on this machine in the place of the real one, and folders to bring there."""

import pytest
import torch
from huggingface_hub import constants
from safetensors.torch import save_file
from tests.unit.sharing.fake_hub import Hub, serving

from semprune.artefacts.card import Origin
from semprune.pruning.card import write_pruning_card


@pytest.fixture
def hub(monkeypatch, tmp_path):
    with serving(Hub()) as found:
        for name, value in {
            "ENDPOINT": found.address, "HF_HUB_OFFLINE": False, "HF_HUB_DISABLE_XET": True,
            "HF_HUB_CACHE": str(tmp_path / "hub"), "HF_TOKEN_PATH": str(tmp_path / "token"),
            "HUGGINGFACE_CO_URL_TEMPLATE": found.address + "/{repo_id}/resolve/{revision}/{filename}",
        }.items():  # fmt: skip
            monkeypatch.setattr(constants, name, value)
        monkeypatch.setenv("HF_TOKEN", found.token)
        yield found


@pytest.fixture
def pruned(tmp_path):
    """What `semprune prune` leaves, and beside it what a training leaves."""
    folder = tmp_path / "pruned"
    (folder / "semprune").mkdir(parents=True)
    write_pruning_card(folder, Origin("own"), "wanda", {"sparsity": 0.5}, 0.5)
    save_file({"a": torch.arange(3)}, folder / "model.safetensors")
    save_file({"a": torch.arange(2)}, folder / "semprune" / "masks.safetensors")
    for name in ("config.json", "tokenizer.json", "provenance.json"):
        (folder / name).write_text("{}")
    for name in ("optimizer.pt", "training_args.bin", "modeling_own.py", ".secret.json"):
        (folder / name).write_text("not to be shared")
    return folder
