"""A table loses nothing, however narrow the terminal is."""

import io
import re
from pathlib import Path

import pytest
from rich.console import Console

import semprune
from semprune.io.whole_table import WholeTable

NUMBERS = {"strength": "2.6e+03", "effect": "0.4641", "t": "-14.62", "q": "1.98e-10", "kept": "1,234,567"}


def table(**settings) -> WholeTable:
    shown = WholeTable(title="strongest", caption="the caption", **settings)
    shown.add_column("neuron", no_wrap=True)
    for name in NUMBERS:
        shown.add_column(name, justify="right", no_wrap=True)
    shown.add_column("writes")
    shown.add_row("layers.22.mlp/1470", *NUMBERS.values(), "vantage tactics tectonics")
    shown.add_row("layers.3.mlp/7", *["0"] * len(NUMBERS), "ends")
    return shown


def printed(shown: WholeTable, width: int) -> list[str]:
    console = Console(file=io.StringIO(), width=width, color_system=None)
    console.print(shown)
    return console.file.getvalue().splitlines()


@pytest.mark.parametrize("settings", [{}, {"box": None, "padding": (0, 1, 0, 0)}])
@pytest.mark.parametrize("width", [34, 50, 65, 80, 100, 200])
def test_no_cell_is_cropped_in_any_width(width, settings):
    lines = printed(table(**settings), width)
    words = [*NUMBERS, *NUMBERS.values(), "layers.22.mlp/1470", "vantage", "tactics", "tectonics", "caption"]
    assert [word for word in words if word not in " ".join(lines).split()] == []
    assert max(map(len, lines)) <= width


def test_columns_that_do_not_fit_stand_below_and_say_whose_they_are():
    lines = printed(table(box=None, padding=(0, 1, 0, 0)), 40)
    q = next(place for place, line in enumerate(lines) if " q " in f"{line} ")
    assert lines[q].split()[0] == "neuron"
    assert lines[q + 1].split()[0] == "layers.22.mlp/1470"
    assert lines[q + 1].split()[lines[q].split().index("q")] == "1.98e-10"
    assert sum("strongest" in line for line in lines) == sum("the caption" in line for line in lines) == 1


def test_what_fits_is_one_table():
    assert sum("layers.22.mlp/1470" in line for line in printed(table(), 120)) == 1


def test_a_terminal_narrower_than_the_names_folds_them_and_loses_nothing():
    folded = "\n".join(printed(table(), 24))
    assert "1.98e-10" in folded
    assert "layers.22" in folded
    assert "mlp/1470" in folded


def test_every_table_of_the_package_is_this_one():
    files = list(Path(semprune.__file__).parent.rglob("*.py"))
    assert [path.name for path in files if re.search(r"from rich.table import", path.read_text())] == ["whole_table.py"]
