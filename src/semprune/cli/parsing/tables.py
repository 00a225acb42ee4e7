"""Own tables on a command line: ``--datasets my.csv --text text --label intent``."""

from __future__ import annotations

import json
from collections.abc import Sequence

COLUMNS = {"--text": "text_column", "--label": "label_column"}


def spell_tables(arguments: Sequence[str], group: str = "", *, columns: bool = True) -> list[str]:
    """Write in full what the short options of own tables stand for; data sets without brackets are a list.

    Args:
        arguments: A command line.
        group: Where the options belong, ``data.`` for ``test``.
        columns: Whether the command takes the columns of tables.

    Example:
        >>> spell_tables(["--datasets", "my.csv", "--text", "body", "--label=intent", "--text.length", "64"])
        ['--datasets', '["my.csv"]', '--text_column', 'body', '--label_column=intent', '--text.length', '64']
        >>> spell_tables(["--datasets=[sst2,piqa]", "--label", "intent"], "data.")
        ['--data.datasets=[sst2,piqa]', '--data.label_column', 'intent']
    """
    spelt: list[str] = []
    for before, given, following in zip(["", *arguments], arguments, [*arguments[1:], "null"], strict=False):
        option, equals, value = given.partition("=") if given.startswith("--") else ("", "", "")
        if option in ("--datasets", f"--{group}datasets"):
            spelt.append(f"--{group}datasets{equals}" + (_listed(value) if equals else ""))
        elif columns and option in COLUMNS and _is_column(value if equals else following):
            spelt.append(f"--{group}{COLUMNS[option]}{equals}{value}")
        elif before in ("--datasets", f"--{group}datasets"):
            spelt.append(_listed(given))
        else:
            spelt.append(given)
    return spelt


def _listed(value: str) -> str:
    return value if value.startswith("[") or value == "null" else json.dumps(value.split(","))


def _is_column(value: str) -> bool:
    """Whether a value names a column: a study's ``text`` also takes a mapping, or the file of one."""
    return not value.startswith("{") and value != "null" and not value.endswith((".yaml", ".yml"))
