"""Every command with values of the wrong kind, a full disk, files where folders belong: one line, no traceback."""

from __future__ import annotations

import resource
import signal
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from tests.fuzz.command_lines import bad_lines, command

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(1800),
    pytest.mark.filterwarnings("ignore"),  # libraries warn of values before they refuse them
]
COMMANDS = ("prune", "study", "report", "compare", "recommend", "explain", "causal", "mediate", "controls",
            "influential", "assets", "fit", "test")  # fmt: skip
COUNT = 80


@pytest.mark.parametrize("name", COMMANDS)
def test_a_value_of_another_kind_is_refused_in_one_line(name, folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    lines = bad_lines(folder, name, COUNT)
    outcomes = ((line, command(folder, line)) for line in lines)
    assert [f"{line}: {outcome.fault}" for line, outcome in outcomes if outcome.fault] == []


@pytest.mark.parametrize("most", [0, 5_000, 50_000])
@pytest.mark.parametrize("name", COMMANDS)
def test_a_full_disk_is_one_line(name, most, folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    line = [name, *folder.lines()[name]]
    with largest_file(most):
        outcome = command(folder, line, 60)
    assert outcome.status in (0, 2)  # what writes less works
    assert outcome.fault is None


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """A limit of each file's size: writing beyond it fails, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, ignored)


@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.parametrize("place", ["file", "file/below", "/proc/none", "x" * 300])
def test_an_output_that_cannot_be_made_is_one_line(name, place, folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("")
    place = f"{place}/page.html" if name == "compare" else place  # whose output is a file
    option = {"fit": "--trainer.default_root_dir", "test": "--trainer.default_root_dir", "explain": "--run"}
    given = [] if name in ("report", "recommend", "assets") else [option.get(name, "--output"), place]
    line = [name, *(folder.lines()[name] if given else [place]), *given]
    outcome = command(folder, line, 60)
    assert outcome.status == 2
    assert outcome.fault is None


def test_an_output_that_looks_like_markup_is_printed_as_it_is(folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    outcome = command(folder, ["prune", *folder.lines()["prune"][:-2], "--output", "a[/b]c"], 60)
    assert outcome.status == 0
    assert f"pruned model: {tmp_path}/a[/b]c" in outcome.printed
    assert (tmp_path / "a[/b]c/provenance.json").is_file()
