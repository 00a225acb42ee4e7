"""Atomic files: what a killed process leaves, and what a running one still needs."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from semprune.io.files import atomic, write_text


def test_leftovers_of_a_killed_process_go_and_those_of_a_running_one_stay(tmp_path):
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    dead, alive = (tmp_path / f".x.txt.{process}.tmp" for process in (gone.pid, os.getppid()))
    other = tmp_path / f".y.txt.{gone.pid}.tmp"
    for path in (dead, alive, other):
        path.write_text("half")
    write_text(tmp_path / "x.txt", "whole")
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([alive.name, other.name, "x.txt"])
    assert (tmp_path / "x.txt").read_text() == "whole"


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
