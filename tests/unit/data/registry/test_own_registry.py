"""Data sets and calibration sets of one's own, in the folder that SEMPRUNE_REGISTRY names."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from semprune.data import calibration_names, calibration_spec, dataset_names, dataset_spec, load_documents, load_items
from semprune.data.hashes import hash_declaration
from semprune.data.rows.sources import read_text
from semprune.errors import ConfigurationError, DatasetSchemaError, UnknownDatasetError

TOY = {
    "name": "pets",
    "family": "topic",
    "about": "Pets.",
    "licence": "ours",
    "columns": ["text", "label"],
    "text": ["text"],
    "labels": {"column": "label", "values": ["dog", "cat"], "classes": ["dog", "cat"]},
    "prompts": [{"name": "ask", "context": "{text} is a", "choices": [" dog", " cat"]}],
    "metrics": ["accuracy"],
}


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with one data set, its rows, and one calibration set with its text."""
    monkeypatch.setenv("SEMPRUNE_REGISTRY", str(tmp_path))
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")
    rows = "\n".join(f'{{"text": "pet {n}", "label": "{"dog" if n % 2 else "cat"}"}}' for n in range(6))
    (tmp_path / "pets.jsonl").write_text(rows)
    hub = {"path": "json", "data_files": str(tmp_path / "pets.jsonl"), "split": "train"}
    (tmp_path / "pets.yaml").write_text(yaml.safe_dump({**TOY, "hub": hub, "reserve": 0.5}))
    (tmp_path / "prose.txt").write_text("one line\ntwo lines\n")
    text = {"path": "text", "data_files": str(tmp_path / "prose.txt"), "split": "train", "column": "text", "rows": 5}
    (tmp_path / "calibration").mkdir()
    own = {"name": "prose", "about": "Prose.", "licence": "ours", "hub": text}
    (tmp_path / "calibration/prose.yaml").write_text(yaml.safe_dump(own))
    return tmp_path


def test_rows_of_a_file_become_items_and_documents(registry, monkeypatch):
    assert "pets" in dataset_names()
    assert dataset_spec("sst2").family == "sentiment"  # the package's are still there
    items, documents = load_items("pets"), load_documents("pets")
    assert len(items) + len(documents) == 6
    assert {d.text for d in documents}.isdisjoint(i.requests[0][0].removesuffix(" is a") for i in items)
    for item in items:
        pet = item.requests[0][0].removesuffix(" is a")
        assert item.requests[item.label][1] == (" dog" if pet in ("pet 1", "pet 3", "pet 5") else " cat")
    monkeypatch.delenv("SEMPRUNE_REGISTRY")
    with pytest.raises(UnknownDatasetError):
        dataset_spec("pets")


def test_a_changed_file_is_read_again(registry):
    before = hash_declaration("pets")
    path = registry / "pets.yaml"
    path.write_text(path.read_text().replace("Pets.", "All pets."))
    assert dataset_spec("pets").about == "All pets."
    assert hash_declaration("pets") != before


def test_a_text_file_is_a_calibration_text(registry):
    assert set(calibration_names()) >= {"c4", "prose"}
    assert read_text(calibration_spec("prose")) == "one line\n\ntwo lines"


def test_a_name_of_the_package_is_refused(registry):
    (registry / "sst2.yaml").write_text("name: sst2\n")
    with pytest.raises(DatasetSchemaError, match="SEMPRUNE_REGISTRY and the package both have it"):
        dataset_names()


def test_a_folder_that_is_not_there_is_named(monkeypatch, tmp_path):
    monkeypatch.setenv("SEMPRUNE_REGISTRY", str(tmp_path / "nowhere"))
    with pytest.raises(ConfigurationError, match="which is no folder"):
        dataset_names()
