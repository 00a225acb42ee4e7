"""Only what was chosen is written, and never outside the folder."""

import hashlib
import io
import stat
import tarfile
import zipfile
from dataclasses import replace

import pytest

from semprune.assets.extract import Member, extract
from semprune.errors import AssetMemberMissingError, AssetUnsafePathError


def _zip(path, entries):
    with zipfile.ZipFile(path, "w") as archive:
        for entry, content in entries:
            archive.writestr(entry, content)
    return path


def _tar(path, infos):
    with tarfile.open(path, "w:gz") as archive:
        for info, content in infos:
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path


def test_chosen_members_are_extracted_and_hashed(toy, wheel, tmp_path):
    members = extract(toy, wheel, tmp_path / "out")
    alpha = hashlib.sha256(b"alpha\n").hexdigest()
    beta = hashlib.sha256(b"beta\n").hexdigest()
    assert members == [Member("toydata/rows/a.txt", alpha, 6), Member("toydata/rows/b.txt", beta, 5)]
    written = sorted(path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out").rglob("*.*"))
    assert written == ["toydata/rows/a.txt", "toydata/rows/b.txt"]
    assert (tmp_path / "out/toydata/rows/a.txt").read_bytes() == b"alpha\n"


@pytest.mark.parametrize(
    "evil", ["data/../../evil.txt", "/data/evil.txt", "../evil.txt", "data\\..\\..\\evil.txt", "C:evil.txt"]
)
def test_path_outside_the_folder_is_refused(toy, tmp_path, evil):
    asset = replace(toy, members=("*.txt",))
    archive = _zip(tmp_path / "evil.zip", [("data/good.txt", b"good"), (evil, b"evil")])
    with pytest.raises(AssetUnsafePathError, match="points outside the cache folder"):
        extract(asset, archive, tmp_path / "deep" / "out")
    assert list(tmp_path.rglob("*.txt")) == []


def test_symbolic_link_in_a_zip_is_refused(toy, tmp_path):
    link = zipfile.ZipInfo("data/link.txt")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    archive = _zip(tmp_path / "evil.zip", [(link, b"/etc/hostname")])
    with pytest.raises(AssetUnsafePathError, match=r"data/link\.txt"):
        extract(replace(toy, members=("*.txt",)), archive, tmp_path / "out")


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE])
def test_special_file_in_a_tar_is_refused(toy, tmp_path, kind):
    info = tarfile.TarInfo("data/link.txt")
    info.type, info.linkname = kind, "../../evil.txt"
    archive = _tar(tmp_path / "evil.tar.gz", [(info, b"")])
    with pytest.raises(AssetUnsafePathError, match=r"data/link\.txt"):
        extract(replace(toy, members=("*.txt",)), archive, tmp_path / "out")


def test_tar_path_outside_the_folder_is_refused(toy, tmp_path):
    archive = _tar(tmp_path / "evil.tar.gz", [(tarfile.TarInfo("data/../../evil.txt"), b"evil")])
    with pytest.raises(AssetUnsafePathError, match=r"evil\.txt"):
        extract(replace(toy, members=("*.txt",)), archive, tmp_path / "out")
    assert list(tmp_path.rglob("evil.txt")) == []


def test_tar_members_are_extracted(toy, tmp_path):
    archive = _tar(tmp_path / "good.tar.gz", [(tarfile.TarInfo("data/good.txt"), b"good")])
    members = extract(replace(toy, members=("data/*",)), archive, tmp_path / "out")
    assert members == [Member("data/good.txt", hashlib.sha256(b"good").hexdigest(), 4)]


def test_pattern_that_matches_nothing_is_an_error(toy, wheel, tmp_path):
    asset = replace(toy, members=("toydata/rows/*.txt", "toydata/absent/*"))
    with pytest.raises(AssetMemberMissingError, match=r"asset 'toy' has no 'toydata/absent/\*'"):
        extract(asset, wheel, tmp_path / "out")
