"""What is pushed comes back byte for byte, nothing else goes; what the hub refuses is said, without a token."""

import json
import logging

import pytest
import torch
from huggingface_hub import constants, metadata_load
from safetensors.torch import save_file
from tests.unit.sharing.fake_hub import COMMIT

from semprune import pull, push
from semprune.errors import (
    HubMissingError,
    HubOfflineError,
    HubRightsError,
    HubUnreachableError,
    NotShareableError,
    OutputOccupiedError,
    SettingError,
    UnsafeRepositoryError,
)

# huggingface_hub 2.4 uploads large files in a way that its HTTP library deprecates
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=.*:DeprecationWarning")
NAMES = {
    "README.md", "config.json", "tokenizer.json", "provenance.json", "model.safetensors", "semprune/masks.safetensors"
}  # fmt: skip
FINGERPRINT = {"architecture": "LlamaForCausalLM", "weights_sha256": "ab", "revision": "local"}


def _files(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_pruned_folder_comes_back_byte_for_byte_and_nothing_else_goes(hub, pruned, tmp_path):
    assert push(pruned, "ada/own-50") == f"{hub.address}/ada/own-50/commit/{COMMIT}"
    assert hub.repos["ada/own-50"].keys() == NAMES
    assert sum("/commit/" in each for each in hub.asked) == 1  # all files at once
    back = pull("ada/own-50", tmp_path / "back")
    assert _files(back) == {name: content for name, content in _files(pruned).items() if name in NAMES}


def test_small_files_take_the_same_way_with_xet(hub, pruned, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", False)
    hub.large = "none"
    push(pruned, "ada/own-50")
    assert hub.repos["ada/own-50"].keys() == NAMES


def test_a_repository_is_made_private_when_asked(hub, pruned, tmp_path, monkeypatch):
    push(pruned, "ada/secret", private=True)
    push(pruned, "ada/secret")  # again: the repository is there
    assert hub.private == {"ada/secret"}
    monkeypatch.delenv("HF_TOKEN")
    with pytest.raises(HubMissingError, match="no such repository, or does not show it to you"):
        pull("ada/secret", tmp_path / "back")


def test_pickled_files_and_code_are_not_pulled(hub, pruned, tmp_path):
    push(pruned, "ada/own-50")
    hub.repos["ada/own-50"] |= {"pytorch_model.bin": b"pickle", "model.py": b"code", ".gitattributes": b"", "x.pt": b""}
    assert _files(pull("ada/own-50", tmp_path / "back")).keys() == NAMES


def test_a_repository_of_pickled_weights_alone_is_refused(hub, tmp_path):
    hub.repos["ada/old"] = {"config.json": b"{}", "pytorch_model.bin": b"pickle"}
    with pytest.raises(UnsafeRepositoryError, match=r"it has pytorch_model\.bin, which may run code"):
        pull("ada/old", tmp_path / "back")
    assert not (tmp_path / "back").exists()


def test_an_association_gets_a_card(hub, tmp_path):
    header = {"concepts": ["sentiment.negative"], "fingerprint": FINGERPRINT, "settings": {"backbone": "smollm2-135m"}}
    path = tmp_path / "association.safetensors"
    save_file({"matrix": torch.zeros(2, 1)}, path, {"semprune.association/1": json.dumps(header)})
    push(path, "ada/neurons")
    back = pull("ada/neurons", tmp_path / "back")
    card = metadata_load(back / "README.md")
    assert (back / path.name).read_bytes() == path.read_bytes()
    assert (card["base_model"], card["license"]) == ("HuggingFaceTB/SmolLM2-135M-Instruct", "apache-2.0")
    assert card["semprune"]["concepts"] == ["sentiment.negative"]
    push(back, "ada/again")
    assert hub.repos["ada/again"] == hub.repos["ada/neurons"]


def test_masks_get_a_card_and_the_place_where_they_are_looked_for(hub, tmp_path):
    header = {"fingerprint": FINGERPRINT, "method": "ria", "settings": {"sparsity": 0.5}, "calibration": "cd"}
    save_file({"a": torch.zeros(1)}, tmp_path / "m.safetensors", {"semprune.masks.1": json.dumps(header)})
    push(tmp_path / "m.safetensors", "ada/masks")
    back = pull("ada/masks", tmp_path / "back")
    assert _files(back).keys() == {"README.md", "semprune/masks.safetensors"}
    assert metadata_load(back / "README.md")["tags"] == ["semprune", "pruned", "ria"]


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda folder: (folder / "README.md").unlink(), "no model card of semprune"),
        (lambda folder: (folder / ".prune").mkdir(), "not finished"),
        (lambda folder: [path.unlink() for path in folder.rglob("*.safetensors")], "no safetensors file"),
    ],
    ids=["no card", "unfinished", "no tensors"],
)
def test_what_is_no_pruning_is_not_pushed(hub, pruned, damage, message):
    damage(pruned)
    with pytest.raises(NotShareableError, match=message):
        push(pruned, "ada/own-50")
    assert hub.asked == []


@pytest.mark.parametrize("content", [b"pickled", None, "tensors"])
def test_a_file_of_something_else_is_not_pushed(hub, tmp_path, content):
    path = tmp_path / "other.safetensors"
    if content == "tensors":
        save_file({"a": torch.zeros(1)}, path)
    elif content is not None:
        path.write_bytes(content)
    with pytest.raises(NotShareableError):
        push(path, "ada/other")


def test_a_folder_that_holds_something_is_left_alone(hub, pruned):
    push(pruned, "ada/own-50")
    before = _files(pruned)
    with pytest.raises(OutputOccupiedError, match="is not empty"):
        pull("ada/own-50", pruned)
    assert _files(pruned) == before


def test_an_interrupted_pull_goes_on(hub, pruned, tmp_path):
    push(pruned, "ada/own-50")
    (tmp_path / "back" / ".cache" / "huggingface").mkdir(parents=True)
    (tmp_path / "back" / "config.json").write_text("{")  # a part of it
    back = pull("ada/own-50", tmp_path / "back")
    assert _files(back).keys() == NAMES
    assert (back / "config.json").read_text() == "{}"


def _stand_in_the_way(hub, monkeypatch, what):
    """Let the hub, the network or the user's settings refuse."""
    if what == "offline":
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    elif what == "no network":
        monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    elif what == "no rights":
        monkeypatch.setenv("HF_TOKEN", "hf_of-somebody-else")
    elif what == "no upload":
        monkeypatch.setattr(hub, "upload_status", 403)
    else:
        hub.failing = what


@pytest.mark.parametrize(
    ("what", "error", "message"),
    [
        ("offline", HubOfflineError, "HF_HUB_OFFLINE is set"),
        ("no network", HubUnreachableError, r"127\.0\.0\.1:9 cannot be reached \(ConnectError\)"),
        ("no rights", HubRightsError, "hf auth login"),
        (403, HubRightsError, "answer 403"),
        (418, HubUnreachableError, "it answers 418"),
        ("no upload", HubRightsError, "answer 403"),
    ],
)
def test_what_keeps_a_push_from_being_taken_is_said_without_the_token(
    hub, pruned, monkeypatch, caplog, capsys, what, error, message
):
    caplog.set_level(logging.DEBUG)
    _stand_in_the_way(hub, monkeypatch, what)
    with pytest.raises(error, match=message) as found:
        push(pruned, "ada/own-50")
    said = f"{found.value} {caplog.text} {capsys.readouterr()}"
    assert hub.token not in said
    assert "hf_of-somebody-else" not in said
    assert found.value.__suppress_context__  # a traceback does not show what the library said either


@pytest.mark.parametrize(
    ("what", "error"), [("offline", HubOfflineError), ("no network", HubUnreachableError), (403, HubRightsError)]
)
def test_what_keeps_a_pull_from_being_given(hub, pruned, tmp_path, monkeypatch, what, error):
    push(pruned, "ada/own-50")
    _stand_in_the_way(hub, monkeypatch, what)
    with pytest.raises(error):
        pull("ada/own-50", tmp_path / "back")
    assert not (tmp_path / "back").exists()


def test_missing_repositories_and_revisions_and_impossible_names(hub, pruned, tmp_path):
    push(pruned, "ada/own-50")
    with pytest.raises(HubMissingError, match="no such repository"):
        pull("ada/none", tmp_path / "back")
    with pytest.raises(HubMissingError, match="no such revision 'v9'"):
        pull("ada/own-50", tmp_path / "back", revision="v9")
    with pytest.raises(SettingError, match="organisation/name"):
        pull("a b/c", tmp_path / "back")
