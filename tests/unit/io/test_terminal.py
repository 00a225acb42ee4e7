"""What is printed is text: no markup, no emoji, no escape sequence, wherever it stands."""

import io
import re
import sys
from pathlib import Path

import pytest
from rich.table import Table
from rich.text import Text

import semprune
from semprune.io.terminal import Terminal, tolerate_any_text

HOSTILE = "runs/a[/b][red]c:bomb:\x1b]0;owned\x07\x1b[2J"
SHOWN = r"runs/a[/b][red]c:bomb:\x1b]0;owned\x07\x1b[2J"


@pytest.fixture
def terminal():
    return Terminal(file=io.StringIO(), width=100, color_system=None)


def test_a_string_is_printed_as_it_is(terminal):
    terminal.print(f"report: {HOSTILE}", soft_wrap=True)
    assert terminal.file.getvalue() == f"report: {SHOWN}\n"


def test_cells_titles_and_styled_texts_are_printed_as_they_are(terminal):
    table = Table("concept", HOSTILE, title=HOSTILE)
    table.add_row(HOSTILE, Text(HOSTILE, "bold"))
    terminal.print(table)
    out = terminal.file.getvalue()
    assert out.count(SHOWN) == 3
    assert out.count(SHOWN.replace(r"\x07", "")) == 1  # rich leaves some control characters out of its texts
    assert "\x1b" not in out


def test_own_styles_still_reach_a_terminal():
    terminal = Terminal(file=io.StringIO(), force_terminal=True, width=80, color_system="standard")
    terminal.print(Text("worse\x1b[5m", "bold red"))
    out = terminal.file.getvalue()
    assert out.startswith("\x1b[1;31mworse")
    assert "\x1b[5m" not in out


def test_every_console_of_the_package_is_this_one():
    files = list(Path(semprune.__file__).parent.rglob("*.py"))
    assert [path.name for path in files if re.search(r"\bConsole\(", path.read_text())] == []
    assert [path.name for path in files if "(Console):" in path.read_text()] == ["terminal.py"]


def test_a_name_that_is_no_unicode_is_printed_with_escapes(monkeypatch):
    kept = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(kept, encoding="ascii"))
    tolerate_any_text()
    Terminal().print("é\udcff")
    sys.stdout.flush()
    assert kept.getvalue() == rb"\xe9\udcff" + b"\n"
