"""Tables of the documentation, and the command that prints a page's."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path


def markdown(header: list[str], rows: Iterable[list[str]]) -> str:
    """A table."""
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (header, ["---"] * len(header), *rows))


def print_pages(about: str, page: Callable[[Path], Mapping[str, str]]) -> None:
    """The command of a page: its tables, of each folder that is named.

    Args:
        about: What the module says of itself.
        page: Makes the tables of a folder.
    """
    parser = argparse.ArgumentParser(description=about.splitlines()[0])
    parser.add_argument("folders", nargs="+", type=Path)
    for folder in parser.parse_args().folders:
        for name, table in page(folder).items():
            print(f"{folder.name}, {name}\n\n{table}\n")
