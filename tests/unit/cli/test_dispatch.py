"""Commands that only read a run start quickly: they load neither torch nor Lightning; ``explain`` no models."""

import subprocess
import sys

import pytest

from semprune.cli.dispatch import LIGHT, PARSERS, READERS

HEAVY = {"torch", "lightning", "transformers", "datasets"}


@pytest.mark.parametrize("name", LIGHT)
def test_a_reader_loads_nothing_heavy(name):
    program = (
        "import sys\n"
        "from semprune.cli.dispatch import PARSERS, COMMANDS\n"
        f"PARSERS[{name!r}](); COMMANDS[{name!r}]\n"
        "print(*(name for name in sys.modules if '.' not in name))"
    )
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()
    assert "semprune" in loaded
    assert HEAVY & set(loaded) == (set() if name in READERS else {"torch"})


def test_help_loads_no_tables():
    program = "import sys\nfrom semprune.cli.__main__ import main\nmain(['--help'])\nprint(*sys.modules)"
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert not {"pandas", *HEAVY} & set(said.rpartition("\n")[0].splitlines()[-1].split())


@pytest.mark.parametrize("name", PARSERS)
def test_every_command_has_the_parser_of_its_name(name):
    assert PARSERS[name]().prog == f"semprune {name}"
