"""Help: fits 80 columns, one line of usage first, examples last, and each example is a command line that parses."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys

import pytest
from tests.docs.command_lines import commands_of, parse
from tests.docs.pages import ROOT

from semprune.cli.__main__ import main
from semprune.cli.dispatch import COMMANDS, PARSERS


@pytest.fixture
def shown(monkeypatch, capsys):
    """The help of a command in a terminal of 80 columns."""
    monkeypatch.setenv("COLUMNS", "80")

    def help_of(*command: str) -> str:
        with contextlib.suppress(SystemExit):  # argparse's own way
            main([*command, "--help"])
        return capsys.readouterr().out

    return help_of


@pytest.mark.parametrize("command", ["", *PARSERS])
def test_help_fits_a_terminal(command, shown):
    lines = shown(*command.split()).splitlines()
    assert max(map(len, lines)) <= 80
    assert lines[0].startswith("usage: semprune")
    assert lines[1] == ""


@pytest.mark.parametrize("command", COMMANDS)
def test_examples_come_last_and_parse(command, shown, monkeypatch):
    text = shown(command)
    examples = text.rpartition("\nexamples:\n")[2]
    assert all(line.startswith("  ") for line in examples.splitlines())
    lines = commands_of(examples)
    assert lines
    for line in lines:
        assert line[0] == command
        parse(line, monkeypatch)


def test_examples_of_the_whole_parse(shown, monkeypatch):
    text = shown()
    lines = commands_of(text.rpartition("examples:\n")[2].partition("\n\n")[0])
    assert len(lines) == 3
    for line in lines:
        parse(line, monkeypatch)


def test_every_command_is_named_in_the_help_of_the_whole(shown):
    text = shown()
    assert all(f"\n  {name} " in text for name in COMMANDS)


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("study", "  --methods [ITEM,...]  Pruning methods."),  # no second name of it, which appends
        ("study", "['magnitude', 'wanda'])"),
        ("prune", "(type: str, default: wanda)"),
        ("report", "(required, type: path)"),
        ("assets", "all where none is named (default: [])"),
        ("fit", "The data: a class and its settings"),
    ],
)
def test_defaults_and_types_are_shown(command, said, shown):
    assert said in shown(command)


def test_the_module_is_the_command():
    """As torchrun starts it."""
    path = f"{ROOT / 'src'}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"
    command = [sys.executable, "-m", "semprune.cli", "--help"]
    done = subprocess.run(command, env=os.environ | {"PYTHONPATH": path}, capture_output=True, text=True)
    assert done.returncode == 0
    assert "usage: semprune COMMAND" in done.stdout


def test_command_lines_are_found_in_scripts():
    script = "cd x && semprune report a > b  # semprune no\nsemprune prune --output o \\\n  --sparsity 0.5\npip"
    assert commands_of(script) == [["report", "a"], ["prune", "--output", "o", "--sparsity", "0.5"]]
