"""Command lines that people read are parsed by the command's own parser, and nothing is run."""

from __future__ import annotations

import re
import shlex
import sys

import pytest

from semprune.cli.__main__ import main
from semprune.cli.commands.prune import spelled_out
from semprune.cli.dispatch import PARSERS

SHELL = {"|", "||", "&", "&&", ";", ">", "2>"}
NAMES = {"semprune", "semprune.cli"}  # the command, and the module that it is
BEFORE = SHELL | {"srun", "-m"}


def commands_of(text: str) -> list[list[str]]:
    """Arguments of every `semprune …` of a shell script; comments and continued lines as a shell reads them."""
    lines = re.sub(r"\\\n\s*", " ", text).splitlines()
    words = [shlex.split(line.removeprefix("$ "), comments=True) for line in lines if "semprune" in line]
    found = []
    for line in words:
        starts = [i for i, word in enumerate(line) if word in NAMES and (i == 0 or line[i - 1] in BEFORE)]
        ends = [place for place, word in enumerate(line) if word in SHELL] + [len(line)]
        found += [line[start + 1 : next(end for end in ends if end > start)] for start in starts]
    return found


def parse(arguments: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Parse one command line as its command does; raises what the command would."""
    command, *rest = arguments
    if rest and rest[-1] in ("--help", "-h"):
        assert command in (*PARSERS, "fit", "test")
    elif command in PARSERS:
        PARSERS[command]().parse_args(spelled_out(rest) if command == "prune" else rest)
    else:
        asks = any(word.endswith(".help") for word in rest)  # such a line exits by itself
        monkeypatch.setattr(sys, "argv", ["semprune", *arguments, *([] if asks else ["--print_config"])])
        with pytest.raises(SystemExit) as stopped:
            assert main() == 0, arguments
        assert stopped.value.code in (None, 0), arguments
