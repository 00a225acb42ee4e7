"""Every command by its name: loaded when it is asked for, and torch and Lightning only with those that compute."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Any

from semprune.errors import UnknownCommandError

if TYPE_CHECKING:
    from semprune.cli.parsing.arguments import Parser


def _call(name: str, *arguments: Any) -> Any:
    """Call a function by where it stands, ``file:function`` of this room."""
    file, _, function = name.partition(":")
    return getattr(import_module(f"semprune.cli.commands.{file}"), function)(*arguments)


PARSERS: dict[str, Callable[[], Parser]] = {
    name: partial(_call, f"{name}:{name}_parser")
    for name in ("prune", "verify", "study", "report", "compare", "recommend", "explain", "neurons", "causal",
                 "mediate", "controls", "influential", "push", "pull", "assets")
}  # fmt: skip
"""Parsers of the plain commands; LightningCLI makes those of ``fit`` and ``test``."""

READERS = ("report", "compare", "recommend", "assets")
"""Commands that compute nothing: they need no torch."""

LIGHT = (*READERS, "explain")
"""Commands that load a model only where a run does not hold the answer, if ever."""

COMMANDS: dict[str, Callable[[list[str]], None]] = {
    "fit": lambda arguments: _call("lightning:run_lightning", ["fit", *arguments]),
    "test": lambda arguments: _call("lightning:run_lightning", ["test", *arguments]),
} | {name: partial(_call, f"{name}:{'recommend_from' if name == 'recommend' else name}") for name in PARSERS}


def run_command(name: str, arguments: list[str]) -> None:
    """Run a command.

    Args:
        name: What to do.
        arguments: What stands after the name on the command line.

    Raises:
        UnknownCommandError: There is no such command.
        SempruneError: Of the kind of what is wrong with the arguments, the files or the machine.
    """
    if name not in COMMANDS:
        raise UnknownCommandError(name, COMMANDS)
    # Lightning advises more workers than there are cores to gain from, its own tree utilities warn, a test does not go
    # on in the fit's checkpoint folder but an interrupted study does, arguments given from Python are meant, and
    # checkpoints inside an epoch hold the state after the step, with the number of batches that it has seen
    for message in (".*many workers.*", ".*LeafSpec.*", "The dirpath has changed", "LightningCLI's args parameter",
                    "Using ModelCheckpoint with manual optimization", "Checkpoint directory .* not empty"):  # fmt: skip
        warnings.filterwarnings("ignore", message=message)
    import_module("semprune.cli.parsing.misspelt").refuse_misspelt(name, arguments)  # before torch
    if name in LIGHT:
        COMMANDS[name](arguments)
        return
    with import_module("semprune.backbones.hardware").fast_fp32():
        COMMANDS[name](arguments)
