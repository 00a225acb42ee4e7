"""The real pip, against a folder with one hand-made wheel or an index that is not there."""

import os
import subprocess
import sys
from collections import namedtuple
from dataclasses import replace
from pathlib import Path

import pytest

from semprune.assets import download as module
from semprune.assets.download import download
from semprune.errors import AssetChecksumError, AssetDiskFullError, AssetNetworkError


@pytest.fixture
def target(tmp_path, wheel, monkeypatch):
    """A folder to download to, with pip pointed at the hand-made wheel alone."""
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(wheel.parent))
    (tmp_path / "target").mkdir()
    return tmp_path / "target"


def test_pinned_wheel_is_downloaded_and_not_installed(toy, target, wheel):
    archive = download(toy, target)
    assert archive == target / toy.filename
    assert archive.read_bytes() == wheel.read_bytes()


def test_wrong_checksum_names_both_sums(toy, target):
    with pytest.raises(AssetChecksumError, match=f"is {toy.sha256}, expected {'0' * 64}"):
        download(replace(toy, sha256="0" * 64), target)


def test_release_that_the_index_lacks(toy, target):
    with pytest.raises(AssetNetworkError, match=r"could not download toydata==2\.0: No matching distribution"):
        download(replace(toy, requirement="toydata==2.0"), target)


def test_other_file_of_the_release_is_not_taken(toy, target):
    with pytest.raises(AssetNetworkError, match=r"expected toydata-1\.0-cp311\.whl, the index gave toydata-1\.0-py3"):
        download(replace(toy, filename="toydata-1.0-cp311.whl"), target)


def test_no_network(toy, tmp_path, monkeypatch):
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")  # port 9 discards: nothing listens
    monkeypatch.setenv("PIP_EXTRA_INDEX_URL", "")
    monkeypatch.setenv("PIP_RETRIES", "0")
    (tmp_path / "target").mkdir()
    with pytest.raises(AssetNetworkError, match="Check the network or pip's index settings"):
        download(toy, tmp_path / "target")


def test_disk_without_room_is_refused_before_pip_runs(toy, target, monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(module.shutil, "disk_usage", lambda folder: usage(100, 90, 10))
    monkeypatch.setattr(module.subprocess, "Popen", lambda *args, **kwargs: pytest.fail("pip was started"))
    with pytest.raises(AssetDiskFullError, match="set SEMPRUNE_CACHE to a folder on a larger disk"):
        download(toy, target)


def test_disk_that_fills_up_under_pip(toy, target, monkeypatch):
    def full(asset, folder, log):
        log.write_text("ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device\n")
        return 1

    monkeypatch.setattr(module, "_run_pip", full)
    with pytest.raises(AssetDiskFullError):
        download(toy, target)


def test_a_folder_that_pip_takes_away_while_it_is_watched_counts_nothing(tmp_path, monkeypatch):
    for name in ("gone", "kept"):
        (tmp_path / name).mkdir()
    (tmp_path / "kept" / "file").write_bytes(b"12345")
    scandir = os.scandir

    def pip_was_faster(path="."):
        if Path(path).name == "gone":
            Path(path).rmdir()
        return scandir(path)

    monkeypatch.setattr(os, "scandir", pip_was_faster)
    assert module._bytes_below(tmp_path) == 5
    assert not (tmp_path / "gone").exists()


def test_interrupted_pip_is_ended():
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    with pytest.raises(KeyboardInterrupt), module._ended(process):
        raise KeyboardInterrupt
    assert process.returncode is not None
