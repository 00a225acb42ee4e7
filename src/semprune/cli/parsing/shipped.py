"""The configurations that come with the package: by name, or by the path that they have in the repository.

The wheel holds the repository's ``configs/`` beside the rooms; a checkout has it at its top.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path

from semprune.errors import UnknownConfigurationError

_PLACES = (Path(__file__).parents[2] / "configs", Path(__file__).parents[4] / "configs")
SHIPPED = next((place for place in _PLACES if place.is_dir()), _PLACES[0])
"""Folder of the configurations."""


def shipped_configs(command: str) -> dict[str, Path]:
    """Return a command's configurations by name: all in the folder of its name, or the one file of its name.

    Args:
        command: ``study``, ``fit``, …

    Example:
        >>> sorted(shipped_configs("study")), sorted(shipped_configs("fit")), shipped_configs("report")
        (['calibration', 'datasets', 'protect', 'quickstart'], ['fit'], {})
    """
    files = sorted((SHIPPED / command).glob("*.yaml")) or sorted(SHIPPED.rglob(f"{command}.yaml"))
    return {path.stem: path for path in files}


def with_shipped(command: str, arguments: Sequence[str]) -> list[str]:
    """Return a command line with the paths of shipped configurations in place of their names.

    A file of the user's own always wins. ``configs/…`` where there is no such file is the package's, for every option.

    Args:
        command: The command.
        arguments: What follows it.

    Raises:
        UnknownConfigurationError: What ``--config`` names is neither a file nor one of the command's.

    Example:
        >>> [Path(value).name for value in with_shipped("study", ["--config", "quickstart", "--limit", "9"])]
        ['--config', 'quickstart.yaml', '--limit', '9']
        >>> Path(with_shipped("fit", ["--trainer=configs/trainer/cpu.yaml"])[0]).name
        'cpu.yaml'
    """
    found = []
    for before, given in zip(["", *arguments], arguments, strict=False):
        option, equals, value = given.partition("=") if given.startswith("--") else (before, "", given)
        if given.startswith("--") and not equals:
            found.append(given)
            continue
        path = _found(command, value, named=option == "--config")
        found.append(f"{option}={path}" if equals else path)
    return found


def _found(command: str, value: str, *, named: bool) -> str:
    if os.path.isfile(value):  # of a text that is too long for a name, Path raises
        return value
    parts = Path(value).parts
    if parts[:1] == ("configs",) and (SHIPPED / Path(*parts[1:])).is_file():
        return str(SHIPPED / Path(*parts[1:]))
    if not named or not re.fullmatch(r"[^\s:{}]+", value):  # a YAML text, which stands for a file
        return value
    known = shipped_configs(command)
    if value.removesuffix(".yaml") not in known:
        raise UnknownConfigurationError(value, known)
    return str(known[value.removesuffix(".yaml")])
