"""A store that can only be read is read; work for it is refused before it is done."""

import errno
import os

import pytest

from semprune.errors import ReadOnlyStoreError
from semprune.study.store.store import claim, require_writable


@pytest.fixture
def read_only(tmp_path, monkeypatch):
    """A folder that the system lets nobody write, an administrator neither."""
    folder = tmp_path / "store"
    folder.mkdir()
    opened, made = os.open, os.mkdir

    def inside(path):
        return not isinstance(path, int) and str(folder) in os.fsdecode(path)

    def refuse(path):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), path)

    def open_file(path, flags, *more, **settings):
        if inside(path) and flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
            refuse(path)
        return opened(path, flags, *more, **settings)

    def make_folder(path, *more, **settings):
        return refuse(path) if inside(path) and not os.path.isdir(path) else made(path, *more, **settings)

    monkeypatch.setattr(os, "open", open_file)
    monkeypatch.setattr(os, "mkdir", make_folder)
    return folder


@pytest.mark.parametrize("wait", [True, False])
@pytest.mark.parametrize("name", ["cell.lock", "groups/cell.lock"])
def test_what_can_only_be_read_needs_no_claim(name, wait, read_only):
    with claim(read_only / name, wait=wait) as mine:
        assert mine
    assert list(read_only.iterdir()) == []


@pytest.mark.parametrize("name", ["", "cells/a"])
def test_work_is_refused_before_it_is_done(name, read_only):
    with pytest.raises(ReadOnlyStoreError, match=r"the store can only be read .*Read-only file system"):
        require_writable(read_only / name)


def test_a_store_that_can_be_written_is_left_as_it_is(tmp_path):
    require_writable(tmp_path / "cells/a")
    assert list((tmp_path / "cells/a").iterdir()) == []
