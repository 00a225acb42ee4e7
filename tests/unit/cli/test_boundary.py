"""Whatever ends a command is one line: its kind, its exit status, and where its traceback is."""

import errno
import os
import signal
import sys
import threading

import pytest

from semprune.cli import __main__ as entry
from semprune.cli.boundary import guarded
from semprune.errors import SettingError


@pytest.fixture(autouse=True)
def _cache(tmp_path, monkeypatch):
    monkeypatch.setenv("SEMPRUNE_CACHE", str(tmp_path / "cache"))


def ended_by(error, capsys, command="report"):
    """Exit status and the one line of a command that an exception ends."""

    def run():
        raise error

    status = guarded(command, run)
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    return status, said


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (OSError(errno.ENOSPC, "No space left on device", "runs/x"), "FileAccessError: runs/x: No space left on "
         "device. Free some space, then run the same command again."),
        (NotADirectoryError(errno.ENOTDIR, "Not a directory", "a/b"), "A file stands where a folder is expected"),
        (FileExistsError(errno.EEXIST, "File exists", "a"), "A file stands where a folder is expected"),
        (OSError(errno.ENAMETOOLONG, "File name too long", "x" * 300), "Pass a shorter path or name."),
        (OSError(errno.EROFS, "Read-only file system", "/mnt"), "Pass a path on a file system that is not read-only."),
        (UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte"), "NotUnicodeError: text is not UTF-8"),
        (MemoryError("Unable to allocate 7 TiB"), "MemoryExhaustedError: memory ran out (Unable to allocate 7 TiB)."),
    ],
)  # fmt: skip
def test_what_the_machine_refuses_is_one_line_and_its_traceback_is_kept(error, said, capsys, tmp_path):
    status, line = ended_by(error, capsys)
    assert status == 2
    assert said in line
    (log,) = (tmp_path / "cache/logs").iterdir()
    assert line.rstrip().endswith(f"The traceback is in {log}.")
    assert "Traceback (most recent call last)" in log.read_text()
    assert type(error).__name__ in log.read_text()


def test_a_refusal_of_semprunes_own_keeps_no_log(capsys, tmp_path):
    status, line = ended_by(SettingError("limit", -1, "at least 1,\n  or null"), capsys)
    assert (status, line) == (2, "SettingError: limit must be at least 1, or null, got -1.\n")
    assert not (tmp_path / "cache").exists()


def test_what_nobody_foresaw_is_called_a_fault(capsys, tmp_path):
    status, line = ended_by(KeyError("x"), capsys)
    assert status == 1
    assert line.startswith("this is a fault of semprune, not of your input: KeyError: 'x'.")
    assert str(next((tmp_path / "cache/logs").iterdir())) in line


def test_a_cache_that_is_a_file_leaves_the_log_in_the_folder_of_temporary_files(capsys, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("SEMPRUNE_CACHE", str(tmp_path / "file"))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    _, line = ended_by(KeyError("x"), capsys)
    (log,) = (tmp_path / "temporary").iterdir()
    assert str(log) in line


@pytest.mark.parametrize("command", ["study", "report"])
def test_an_interruption_is_one_line_and_130(command, capsys):
    status, line = ended_by(KeyboardInterrupt(), capsys, command)
    assert status == 130
    goes_on = {"study": "The same command goes on where it was.", "report": "The same command starts anew."}
    assert line == f"interrupted. {goes_on[command]}\n"


def test_lightnings_way_out_of_an_interruption_is_130_too(capsys):
    def run():
        try:
            raise KeyboardInterrupt
        except KeyboardInterrupt:
            sys.exit(1)

    assert guarded("fit", run) == 130
    assert capsys.readouterr().err == "interrupted. With --ckpt_path and its last checkpoint it goes on.\n"


def test_an_interruption_while_the_commands_are_loaded_is_one_line(capsys, monkeypatch):
    def load(name):
        os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(entry, "import_module", load)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # what runs in the background may ignore it
    try:
        assert entry.main(["report", "runs/x"]) == 130
    finally:
        signal.signal(signal.SIGINT, before)
    assert capsys.readouterr().err == "interrupted. The same command starts anew.\n"


def test_other_exits_pass(capsys):
    with pytest.raises(SystemExit) as exit_of_help:
        guarded("report", lambda: sys.exit(0))
    assert exit_of_help.value.code == 0


def test_names_are_printed_as_they_are(capsys):
    status, line = ended_by(OSError(errno.EACCES, "Permission denied", "a[/b]c:smile:[red]"), capsys)
    assert status == 2
    assert "FileAccessError: a[/b]c:smile:[red]: Permission denied." in line


def test_what_ends_a_thread_in_the_background_is_one_line_too(capsys, tmp_path):
    def write():
        raise OSError(errno.ENOSPC, "No space left on device")

    def run():
        thread = threading.Thread(target=write)
        thread.start()
        thread.join()

    assert guarded("fit", run) == 0
    (log,) = (tmp_path / "cache/logs").iterdir()
    said = "a thread in the background ended early: [Errno 28] No space left on device. The traceback is in"
    assert capsys.readouterr().err == f"{said} {log}.\n"


def test_an_unknown_command_is_one_line(capsys):
    assert entry.main(["nothing"]) == 2
    said = capsys.readouterr().err
    assert "unknown command 'nothing'" in said
    assert said.count("\n") == 1
