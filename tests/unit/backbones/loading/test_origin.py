"""What a card may say of a backbone, from wherever it was loaded."""

import pytest

from semprune.artefacts.card import Origin
from semprune.backbones.loading import origin
from semprune.backbones.loading.source import BackboneSource
from semprune.errors import BackboneLoadError


def test_an_embedded_backbone_has_its_originals_name_and_licence(tmp_path):
    found = origin.origin_of(BackboneSource("smollm2-135m", tmp_path, "r", "LlamaForCausalLM"))
    name = "HuggingFaceTB/SmolLM2-135M-Instruct"
    assert found == Origin("SmolLM2-135M-Instruct", name, {"license": "apache-2.0"})
    terms = origin.origin_of(BackboneSource("gemma-3-270m", tmp_path, "r", "Gemma3ForCausalLM"))
    assert terms.inherited == {"license": "other", "license_name": "Gemma Terms of Use"}


def test_a_folder_is_named_without_its_path(tmp_path):
    folder = tmp_path / "own"
    folder.mkdir()
    assert origin.origin_of(BackboneSource(str(folder), folder, "local", "x")) == Origin("own", None, {})


@pytest.mark.parametrize("reached", [True, False])
def test_a_model_of_the_hub_states_its_licence_itself(tmp_path, monkeypatch, reached):
    def fetch(name, revision, files, known):
        assert (name, revision, list(files)) == ("org/model", "0123abcd", ["README.md"])
        if not reached:
            raise BackboneLoadError(name, "the hub cannot be reached", "")
        (tmp_path / "README.md").write_text("---\nlicense: llama3.2\n---\n")

    monkeypatch.setattr(origin, "fetch", fetch)
    found = origin.origin_of(BackboneSource("org/model", tmp_path, "0123abcd", "x"))
    assert found == Origin("model", "org/model", {"license": "llama3.2"} if reached else {})
