"""Whatever the pages tell people to type is run, read by the real reader, or parsed by the real command line."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import yaml
from tests.docs.command_lines import commands_of, parse
from tests.docs.conftest import small_backbone
from tests.docs.pages import HOW_TO, OWN, ROOT, Block, blocks
from tests.unit.attribution.worlds import association_of
from tests.unit.report.conftest import CONCEPTS, build_run

from semprune.concepts import load_concepts
from semprune.data import calibration_spec, dataset_spec

COMMANDS = [ROOT / "README.md", *OWN, ROOT / "docs" / "pruning.md", ROOT / "docs" / "evaluation.md"]


def write_files(page: Path, folder: Path) -> list[Block]:
    """Write what the page shows as files, and the shipped configurations beside them."""
    (folder / "configs").symlink_to(ROOT / "configs")
    files = [block for block in blocks(page) if block.title is not None]
    for block in files:
        path = folder / block.title
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(block.text, "utf-8")
    return files


@pytest.mark.parametrize("page", OWN, ids=lambda page: page.stem)
def test_a_page_runs_from_top_to_bottom(page, offline):
    write_files(page, offline)
    if page.stem == "reading-the-report":
        build_run(offline / "runs/quickstart", tuple(CONCEPTS)[:4], layers=6)
    names = {"__name__": "page"}
    for block in blocks(page, "python"):
        source = "\n" * (block.line - 1) + block.text  # lines of a traceback are those of the page
        exec(compile(source, str(page), "exec", dont_inherit=True), names)


def test_the_readme_runs_beside_a_quick_start(offline):
    lm = small_backbone()
    neurons = sum(site.width for site in lm.sites)
    concepts = ("sentiment.negative", "sentiment.positive")
    (offline / "runs/quickstart").mkdir(parents=True)
    association_of(lm, torch.ones(neurons, 2), concepts).save(offline / "runs/quickstart/association.safetensors")
    names = {"__name__": "page"}
    for block in blocks(ROOT / "README.md", "python"):
        exec(compile(block.text, "README.md", "exec", dont_inherit=True), names)
    assert set(names["table"]["dataset"]) == {"sst2", "movie_reviews"}
    assert len(names["report"].masks) == len(lm.matrices)
    assert len(names["association"].top("sentiment.negative", 20)) == 20


@pytest.mark.parametrize("page", COMMANDS, ids=lambda page: page.stem)
def test_command_lines_parse(page, offline, monkeypatch):
    write_files(page, offline)
    if (offline / "registry").is_dir():
        monkeypatch.setenv("SEMPRUNE_REGISTRY", "registry")
    lines = [line for block in blocks(page, "sh") for line in commands_of(block.text)]
    for line in lines:
        parse(line, monkeypatch)
    if page in HOW_TO and page.stem != "fine-tuning":
        assert lines


@pytest.mark.parametrize("page", OWN, ids=lambda page: page.stem)
def test_files_are_read_by_their_own_reader(page, offline, monkeypatch):
    files = [block.title for block in write_files(page, offline) if block.kind == "yaml"]
    monkeypatch.setenv("SEMPRUNE_REGISTRY", "registry" if (offline / "registry").is_dir() else "")
    for path in map(Path, files):
        if path.parts[:2] == ("registry", "calibration"):
            assert calibration_spec(path.stem).name == path.stem
        elif path.parts[0] == "registry":
            assert dataset_spec(path.stem).name == path.stem
        else:
            assert path.parts[0] == "concepts", "no reader for this file: name one here"
            assert load_concepts([str(path)])[0].name == path.stem


def test_every_yaml_on_the_pages_is_a_file_that_is_read():
    for page in OWN:
        assert all(block.title for block in blocks(page, "yaml")), page


def test_the_calibration_text_of_the_page_is_read(offline, monkeypatch):
    from semprune.data.rows.sources import read_text

    page = next(page for page in HOW_TO if page.stem == "own-calibration-text")
    write_files(page, offline)
    monkeypatch.setenv("SEMPRUNE_REGISTRY", "registry")
    assert read_text(calibration_spec("manuals")).startswith("Turn the valve to the left until it stops.\n\nWait")


def test_a_block_that_is_wrong_is_seen(tmp_path):
    page = tmp_path / "page.md"
    page.write_text('text\n```yaml title="a/b.yaml"\nname: b\n```\n```python\nimport x\n```\n')
    first, second = blocks(page)
    assert (first.kind, first.title, first.line) == ("yaml", "a/b.yaml", 3)
    assert yaml.safe_load(first.text) == {"name": "b"}
    assert (second.kind, second.title, second.text, second.line) == ("python", None, "import x\n", 6)
