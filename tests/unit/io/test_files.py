"""Atomic files: what a killed process leaves, and what a running one still needs; tables that know themselves."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from semprune.io.files import atomic, read_parquet, write_parquet, write_text


def test_leftovers_of_a_killed_process_go_and_those_of_a_running_one_stay(tmp_path):
    dead, alive, other = (tmp_path / f".{name}.tmp" for name in ("x.txt.0a", "x.txt.0b", "y.txt.0a"))
    for path in (dead, alive, other):
        path.write_text("half")
    with alive.open("r+b") as writer:  # somebody's, whatever its process is called
        fcntl.flock(writer, fcntl.LOCK_EX)
        write_text(tmp_path / "x.txt", "whole")
        assert sorted(path.name for path in tmp_path.iterdir()) == sorted([alive.name, other.name, "x.txt"])
    write_text(tmp_path / "x.txt", "whole")
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([other.name, "x.txt"])
    assert (tmp_path / "x.txt").read_text() == "whole"


def test_the_lock_of_a_killed_process_is_free(tmp_path):
    hold = (
        "import fcntl, sys, time; file = open(sys.argv[1], 'xb'); fcntl.flock(file, fcntl.LOCK_EX); "
        "print(1, flush=True); time.sleep(60)"
    )
    left = tmp_path / ".x.txt.0a.tmp"
    owner = subprocess.Popen([sys.executable, "-c", hold, str(left)], stdout=subprocess.PIPE)
    assert owner.stdout is not None
    assert owner.stdout.readline() == b"1\n"
    write_text(tmp_path / "x.txt", "whole")
    assert left.exists()
    owner.kill()
    owner.communicate()
    write_text(tmp_path / "x.txt", "whole")
    assert not left.exists()


def test_two_containers_with_one_process_number_write_beside_each_other(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "getpid", lambda: 7)
    with atomic(tmp_path / "x.txt") as first:
        first.write_text("first")
        with atomic(tmp_path / "x.txt") as second:
            assert first.exists()
            second.write_text("second")
        assert (tmp_path / "x.txt").read_text() == "second"
        assert first.read_text() == "first"
    assert (tmp_path / "x.txt").read_text() == "first"
    assert [path.name for path in tmp_path.iterdir()] == ["x.txt"]


def test_a_temporary_that_was_taken_for_a_leftover_before_it_was_locked_is_made_anew(tmp_path, monkeypatch):
    lock, taken = fcntl.flock, []

    def take_first(file, how):
        if not taken:
            taken.append(Path(file.name))
            taken[0].unlink()
        lock(file, how)

    monkeypatch.setattr(fcntl, "flock", take_first)
    with atomic(tmp_path / "x.txt") as temporary:
        assert temporary != taken[0]
        temporary.write_text("whole")
    assert [path.name for path in tmp_path.iterdir()] == ["x.txt"]


def write_half(path: Path) -> None:
    with atomic(path) as temporary:
        temporary.write_text("new")
        raise OSError("full")


def test_a_block_that_fails_leaves_the_old_file(tmp_path):
    write_text(tmp_path / "x.txt", "old")
    with pytest.raises(OSError, match="full"):
        write_half(tmp_path / "x.txt")
    assert [path.name for path in tmp_path.iterdir()] == ["x.txt"]
    assert (tmp_path / "x.txt").read_text() == "old"


def test_a_file_put_in_the_place_of_the_temporary_is_refused(tmp_path):
    """It would not be locked: another process could remove it."""
    other = tmp_path / "other"
    other.write_text("other")
    with pytest.raises(AssertionError, match="another file"), atomic(tmp_path / "x.txt") as temporary:
        other.replace(temporary)


TABLE = pd.DataFrame({"method": ["a", "b"], "value": [0.5, None], "scores": [[1.0, 2.0], [3.0]]})


def test_a_table_is_read_back_and_has_the_same_bytes_each_time(tmp_path):
    for name in ("one", "two"):
        write_parquet(tmp_path / name, TABLE)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
    back = read_parquet(tmp_path / "one")
    assert back["scores"].map(list).tolist() == [[1.0, 2.0], [3.0]]
    pd.testing.assert_frame_equal(back[["method", "value"]], TABLE[["method", "value"]])


def test_any_flipped_bit_of_a_table_is_found_or_changes_nothing(tmp_path):
    write_parquet(tmp_path / "x", TABLE)
    content, silent = (tmp_path / "x").read_bytes(), []
    for place in range(len(content)):
        damaged = bytearray(content)
        damaged[place] ^= 1 << (place % 8)
        (tmp_path / "x").write_bytes(damaged)
        try:
            back = read_parquet(tmp_path / "x")
        except (OSError, ValueError):
            continue
        silent.append(place)
        pd.testing.assert_frame_equal(back[["method", "value"]], TABLE[["method", "value"]])
    name = content.index(b"semprune.sha256")
    assert silent == list(range(name, name + 15))  # the name of the hash: a table without one is an old one


def test_a_table_of_before_there_were_hashes_is_read_with_a_line_in_the_log(tmp_path, caplog):
    TABLE.to_parquet(tmp_path / "x", index=False)
    with caplog.at_level("INFO", "semprune"):
        assert read_parquet(tmp_path / "x")["method"].tolist() == ["a", "b"]
    assert "cannot be verified" in caplog.text
