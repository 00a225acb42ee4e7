"""Model cards: what the hub reads of them, and that only the section of the cost changes later."""

import pytest
from huggingface_hub import EvalResult, ModelCard, metadata_load

from semprune.artefacts.card import Origin, origin_of_folder, stated_in, with_cost, write_card
from semprune.errors import CorruptArtefactError

ORIGIN = Origin("Own-1B", "org/Own-1B", {"license": "mit", "language": ["de"]})


def _written(folder, origin=ORIGIN, **options):
    return write_card(folder, origin, "Own-1B, pruned", {"method": "wanda"}, [("a|b", "<i>c")], "`load it`", **options)


def test_the_hub_finds_base_method_and_licence(tmp_path):
    data = ModelCard.load(_written(tmp_path)).data.to_dict()
    assert data == {
        "base_model": "org/Own-1B", "library_name": "transformers", "license": "mit", "language": ["de"],
        "pipeline_tag": "text-generation", "tags": ["semprune", "pruned", "wanda"], "semprune": {"method": "wanda"},
    }  # fmt: skip


def test_masks_alone_are_no_model_of_transformers(tmp_path):
    data = metadata_load(_written(tmp_path, weights=False))
    assert (data["library_name"], "pipeline_tag" in data) == ("semprune", False)


def test_an_unknown_licence_is_said_and_none_is_made_up(tmp_path):
    path = _written(tmp_path, Origin("own"))
    assert not metadata_load(path).keys() & {"license", "base_model"}
    assert "not known here: look it up" in path.read_text()


def test_what_stands_in_a_table_cannot_break_it(tmp_path):
    assert "| a&#124;b | &lt;i>c |" in _written(tmp_path).read_text()


def test_the_cost_replaces_what_was_said_of_it_and_nothing_else(tmp_path):
    path = _written(tmp_path)
    path.write_text(path.read_text() + "\n## Mine\n\nkept by hand\n")
    before = path.read_text()
    for score in (0.8, 0.9):
        results = [EvalResult("text-classification", "sst2", "sst2", "auroc", score)]
        with_cost(tmp_path, f"skill {score}", {"model_name": "own", "eval_results": results})
    after, data = path.read_text(), metadata_load(path)
    assert "## What was kept and lost\n\nskill 0.9\n\n## How to use it" in after
    assert "skill 0.8" not in after
    assert after[after.index("## How") :] == before[before.index("## How") :]
    assert [each["metrics"][0]["value"] for each in data["model-index"][0]["results"]] == [0.9]
    assert data["semprune"] == {"method": "wanda"}


def test_a_section_that_was_deleted_comes_back_at_the_end(tmp_path):
    path = tmp_path / "README.md"
    path.write_text("---\nlicense: mit\n---\n# mine\n")
    with_cost(tmp_path, "skill 0.9", {})
    assert path.read_text() == "---\nlicense: mit\n---\n# mine\n\n## What was kept and lost\n\nskill 0.9\n"


@pytest.mark.parametrize("text", [None, "---\n- a\n---\n", "---\na: [\n---\n"], ids=["none", "a list", "no YAML"])
def test_a_card_that_cannot_be_read(tmp_path, text):
    if text is not None:
        (tmp_path / "README.md").write_text(text)
    assert stated_in(tmp_path) == {}
    with pytest.raises(CorruptArtefactError, match=r"README\.md is not readable"):
        with_cost(tmp_path, "skill", {})


def test_a_local_folder_hands_on_what_its_card_says_and_no_path(tmp_path):
    folder = tmp_path / "tuned"
    folder.mkdir()
    assert origin_of_folder(folder) == Origin("tuned", None, {})
    (folder / "README.md").write_text("---\nbase_model: org/m\nlicense: other\nlicense_name: terms\ntags: [x]\n---\n")
    found = origin_of_folder(folder)
    assert found == Origin("tuned", "org/m", {"license": "other", "license_name": "terms"})
    assert found.licence == "terms"
    assert origin_of_folder(folder, hub="org/tuned-1B").hub == "org/tuned-1B"
