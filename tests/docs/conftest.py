"""What the documentation's code runs on: a tiny model under every name, small packages, a folder of its own."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from tests.integration.small_study import write_package
from tests.integration.tiny import tiny_backbone

from semprune.backbones import Backbone

LENGTH = 512


@pytest.fixture(scope="session")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Rows of some data sets, and calibration texts that are long enough for 64 × 512 tokens."""
    folder = tmp_path_factory.mktemp("package")
    write_package(folder)
    for name in ("c4", "wiki"):
        text = folder / f"exllamav2/conversion/standard_cal_data/{name}.utf8"
        text.write_text(text.read_text("utf-8") * 8, "utf-8")
    return folder


def small_backbone(*arguments: object, **settings: object) -> Backbone:
    """The tests' tiny tokenizer, and a random Llama that reads 512 tokens."""
    return tiny_backbone(name="small", length=LENGTH)


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small model as a Hugging Face folder."""
    folder = tmp_path_factory.mktemp("model")
    lm = small_backbone()
    lm.model.save_pretrained(folder)
    lm.tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture
def offline(package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to work in; every asset is the package, every backbone the small one. Returns the folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("semprune.data.rows.sources.ensure_asset", lambda name: package)
    monkeypatch.setattr("semprune.backbones.load_backbone", small_backbone)
    monkeypatch.setattr(sys, "argv", ["documentation"])
    monkeypatch.setenv("SEMPRUNE_REGISTRY", "")  # also put back, whatever a page sets
    monkeypatch.setenv("SEMPRUNE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "datasets")
    return tmp_path
