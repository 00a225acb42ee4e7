"""A study's addresses follow the content of all that it reads, whatever the files are called and how old they are."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import yaml
from tests.integration.tiny import TEXTS, tiny_backbone

from semprune.artefacts import Cell
from semprune.study.cell.study_data import StudyData
from semprune.study.config.schema import FitConfig, StudyConfig, TextConfig
from semprune.study.store.addresses import Addresses

PETS = {
    "name": "pets", "family": "topic", "about": "Pets.", "licence": "ours", "columns": ["text", "label"],
    "text": ["text"], "labels": {"column": "label", "values": ["cat", "dog"], "classes": ["cat", "dog"]},
    "prompts": [{"name": "ask", "context": "{text} is a", "choices": [" cat", " dog"]}], "metrics": ["accuracy"],
    "reserve": 0.5,
}  # fmt: skip
CELL = Cell("wanda", 0.5, "prose", 0, sequences=2, length=8)


@pytest.fixture(scope="module")
def lm():
    return tiny_backbone()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SEMPRUNE_REGISTRY", str(tmp_path))
    monkeypatch.setenv("SEMPRUNE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "datasets")
    rows = [f'{{"text": "pet {n:02}", "label": "{"dog" if n % 2 else "cat"}"}}' for n in range(12)]
    (tmp_path / "pets.jsonl").write_text("\n".join(rows))
    hub = {"path": "json", "data_files": str(tmp_path / "pets.jsonl"), "split": "train"}
    (tmp_path / "pets.yaml").write_text(yaml.safe_dump({**PETS, "hub": hub}))
    (tmp_path / "prose.txt").write_text("\n".join(TEXTS))
    text = {"path": "text", "data_files": str(tmp_path / "prose.txt"), "split": "train", "column": "text", "rows": 50}
    (tmp_path / "calibration").mkdir()
    own = {"name": "prose", "about": "Prose.", "licence": "ours", "hub": text}
    (tmp_path / "calibration/prose.yaml").write_text(yaml.safe_dump(own))
    words = {"name": "own.pet", "about": "Pets.", "source": "ours", "licence": "ours", "words": ["pet", "cat"]}
    (tmp_path / "concepts").mkdir()
    (tmp_path / "concepts/own.pet.yaml").write_text(yaml.safe_dump(words))
    return tmp_path


def addresses(folder: Path, lm) -> dict[str, str]:
    """Where a study that is started now looks for each of its parts."""
    fit = FitConfig(["pets"], max_length=16, concepts=[str(folder / "concepts/own.pet.yaml")])
    config = StudyConfig(datasets=["pets"], calibrations=["prose"], fit=fit, text=TextConfig("prose", 2, 8))
    found = Addresses.of(config, lm, StudyData(config, lm))
    return {"items": found.items("pets"), "fit": found.fit.name, "meaning": found.meaning, "text": found.text,
            "cell": found.cell(CELL).name}  # fmt: skip


def edit(path: Path, old: str, new: str) -> None:
    """Change a file's content and nothing that a listing shows."""
    status, content = path.stat(), path.read_text()
    assert old in content
    assert len(old) == len(new)
    path.write_text(content.replace(old, new))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert (path.stat().st_size, path.stat().st_mtime_ns) == (status.st_size, status.st_mtime_ns)


@pytest.mark.parametrize(
    ("file", "old", "new", "moved"),
    [
        ("pets.jsonl", "pet ", "cat ", {"items", "fit", "meaning"}),
        ("prose.txt", "good", "fine", {"text", "cell"}),
        ("concepts/own.pet.yaml", "- cat", "- dog", {"fit", "meaning"}),
    ],
)
def test_an_edited_file_is_another_address_and_the_old_one_is_found_again(folder, lm, file, old, new, moved) -> None:
    before = addresses(folder, lm)
    assert addresses(folder, lm) == before
    edit(folder / file, old, new)
    after = addresses(folder, lm)
    assert {part for part in before if before[part] != after[part]} == moved
    edit(folder / file, new, old)
    assert addresses(folder, lm) == before


def test_a_file_with_one_more_row_is_another_address(folder, lm) -> None:
    before = addresses(folder, lm)
    with (folder / "pets.jsonl").open("a") as rows:
        rows.write("".join(f'\n{{"text": "more {n}", "label": "cat"}}' for n in range(8)))
    after = addresses(folder, lm)
    assert {part for part in before if before[part] != after[part]} == {"items", "fit", "meaning"}


def test_text_that_the_model_writes_is_not_written_for_an_address(folder, lm, monkeypatch) -> None:
    monkeypatch.setattr("semprune.study.cell.study_data.own_text", lambda *args: pytest.fail("written"))
    mixed = Cell("wanda", 0.5, "self_generated*0.5+prose*0.5", 0, sequences=2, length=8)

    def address() -> Path:
        return Addresses.of(StudyConfig(), lm, StudyData(StudyConfig(), lm)).cell(mixed)

    before = address()
    edit(folder / "prose.txt", "good", "fine")
    assert address() != before
