"""A hash is remembered only where the files cannot have changed."""

import os
import time

import pytest

from semprune.io import known_hashes
from semprune.io.known_hashes import SETTLED_NS, known_hash


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "x"
    path.write_text("old")
    return path


@pytest.fixture
def store(tmp_path):
    return tmp_path / "store"


@pytest.fixture
def later(monkeypatch):
    """Every file that there is now is old."""
    monkeypatch.setattr(known_hashes.time, "time_ns", lambda now=time.time_ns: now() + 2 * SETTLED_NS)


def read(store, file, kind="kind"):
    """What the file holds, and whether it was read for it."""
    seen = []

    def compute():
        seen.append(True)
        return file.read_text()

    return known_hash(store, kind, [file], compute), bool(seen)


@pytest.mark.usefixtures("later")
def test_the_same_file_is_read_once(store, file):
    assert [read(store, file) for _ in range(2)] == [("old", True), ("old", False)]
    assert read(store, file, "another kind") == ("old", True)


@pytest.mark.usefixtures("later")
@pytest.mark.parametrize("how", ["in place", "renamed"])
def test_another_content_at_the_same_path_size_and_time_is_read(store, file, how):
    read(store, file)
    status = file.stat()
    time.sleep(0.05)  # a tick of the system's clock
    if how == "in place":
        file.write_text("new")
    else:
        other = file.with_name("y")
        other.write_text("new")
        other.replace(file)
    os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert (file.stat().st_size, file.stat().st_mtime_ns) == (status.st_size, status.st_mtime_ns)
    assert read(store, file) == ("new", True)


def test_a_young_file_is_never_remembered(store, file):
    assert [read(store, file) for _ in range(2)] == [("old", True)] * 2


@pytest.mark.usefixtures("later")
def test_a_file_that_changes_while_it_is_read_is_not_remembered(store, file):
    def compute():
        time.sleep(0.05)
        file.write_text("new")
        return "old"

    known_hash(store, "kind", [file], compute)
    assert read(store, file) == ("new", True)


@pytest.mark.usefixtures("later")
def test_a_damaged_memory_is_not_believed(store, file):
    read(store, file)
    (path,) = store.iterdir()
    path.write_text(path.read_text().replace("old", "odd"))
    assert read(store, file) == ("old", True)


@pytest.mark.usefixtures("later")
def test_a_place_that_cannot_be_written_costs_time_alone(tmp_path, file):
    assert read(file / "no folder", file) == ("old", True)
