"""A tiny wheel made by hand, its catalogue entry, and a cache folder of its own for every test."""

import hashlib
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from semprune.assets import Asset

MEMBERS = {"toydata/rows/a.txt": b"alpha\n", "toydata/rows/b.txt": b"beta\n", "toydata/code.py": b"raise SystemExit\n"}


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("SEMPRUNE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def wheel(tmp_path) -> Path:
    path = tmp_path / "index" / "toydata-1.0-py3-none-any.whl"
    path.parent.mkdir()
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in MEMBERS.items():
            archive.writestr(name, content)
        archive.writestr("toydata-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: toydata\nVersion: 1.0\n")
        archive.writestr(
            "toydata-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr("toydata-1.0.dist-info/RECORD", "")
    return path


@pytest.fixture
def toy(wheel) -> Asset:
    content = wheel.read_bytes()
    return Asset(
        name="toy",
        requirement="toydata==1.0",
        filename=wheel.name,
        sha256=hashlib.sha256(content).hexdigest(),
        size_bytes=len(content),
        licence="CC0-1.0",
        non_commercial=False,
        members=("toydata/rows/*.txt",),
        about="two rows",
    )


@pytest.fixture
def non_commercial(toy) -> Asset:
    return replace(toy, licence="CC-BY-NC-4.0", non_commercial=True)
