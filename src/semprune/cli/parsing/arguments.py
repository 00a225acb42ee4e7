"""Command line parsers: help that fits a terminal, errors of one line (what was given, known, nearest)."""

from __future__ import annotations

import argparse
import copy
import difflib
import functools
import inspect
import operator
import re
import sys
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, ClassVar, NoReturn, TypeVar, Union, get_args, get_origin, get_type_hints

import jsonargparse
from jsonargparse import _loaders_dumpers
from jsonargparse._loaders_dumpers import get_yaml_default_loader

from semprune.cli.parsing.shipped import with_shipped
from semprune.cli.parsing.tables import spell_tables
from semprune.errors import ConfigurationError, RenamedSettingError, SempruneError, SettingError
from semprune.errors.data import RENAMED
from semprune.io.yaml_text import bounded
from semprune.ranges import check_ranges


class _BoundedLoader(get_yaml_default_loader()):  # type: ignore[misc]  # made when it is first asked for
    """The parsers' own YAML loader, which reads configurations and values, with the bounds of every other YAML text."""

    def get_single_node(self) -> Any:
        return bounded(super().get_single_node)


# jsonargparse offers no other place for all that it reads
_loaders_dumpers.yaml_default_loader = _BoundedLoader  # type: ignore[assignment]
_READ_AS_OTHER = re.compile(r"Expected a <class 'str'>.*value: (?:[-+.\d]\S*|True|False|None)\s*$", re.DOTALL)
EXAMPLES = "examples:"
Config = TypeVar("Config")


def nearest_name(message: str, typed: Iterable[str], known: Iterable[str]) -> str:
    """Return what a misspelt name in a parser's message may have been meant to be; nothing where none is near.

    Args:
        message: What the parser says; names in quotes and options are looked at.
        typed: What was typed; its words are looked at where the message has them too.
        known: Names of options and classes.

    Example:
        >>> nearest_name("Expected a dot import path string: Wnda", ["--trainer.callbacks", "Wnda"], ["RIA", "Wanda"])
        "'Wnda' is unknown; did you mean 'Wanda'? "
        >>> nearest_name("Option 'limt' is not accepted", [], ["limit", "seeds"])
        "'limt' is unknown; did you mean 'limit'? "
    """
    names = {name.removeprefix("--") for name in known}
    given = _names_in(message)
    given += [word for argument in typed for word in re.findall(r"[\w.]+", argument) if word in message]
    for word in given:
        if word not in names and (near := difflib.get_close_matches(word, names, n=1, cutoff=0.75)):
            return f"'{word}' is unknown; did you mean '{near[0]}'? "
    return ""


def _names_in(message: str) -> list[str]:
    """What a message has in quotes, and its options; not the names of types."""
    return [quoted or option for quoted, option in re.findall(r"(?<!class )'([\w.]+)'|--([\w.]+)", message)]


def without_ranges(hint: Any) -> Any:
    """A type as help shows it: ranges stand in types for their check, and would hide the type.

    Example:
        >>> from semprune.types import Limit, Seed
        >>> without_ranges(Limit), without_ranges(list[Seed])
        (int | None, list[int])
    """
    plain = get_type_hints(type("Of", (), {"__annotations__": {"it": hint}}))["it"]
    return functools.reduce(operator.or_, get_args(plain)) if get_origin(plain) is Union else plain


class HelpFormatter(jsonargparse.DefaultHelpFormatter):
    """Options with type and default; examples keep their lines, and lists are named once."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        if not text.startswith(EXAMPLES):
            return super()._fill_text(text, width, indent)
        return "\n".join(indent + line for line in text.splitlines())

    def _format_action_invocation(self, action: argparse.Action) -> str:
        shown = super()._format_action_invocation(action)
        return shown.partition(", ")[0] if f"{action.dest}+" in shown else shown  # `--x+` appends, for every list

    def _get_type_str(self, action: argparse.Action) -> str | None:
        hint = getattr(action, "_typehint", None)
        if hint is not None:
            action = copy.copy(action)
            action._typehint = without_ranges(hint)  # type: ignore[attr-defined]  # jsonargparse's
        shown = super()._get_type_str(action)
        return "path" if shown == "<class 'Path'>" else shown


class OneLineErrors:
    """Mixed into a parser: errors are raised as :class:`ConfigurationError`, with no usage block above them."""

    classes: tuple[str, ...] = ()
    """Names of classes that configurations may use."""

    inside: ClassVar[list[str]] = []
    """What parsers of classes inside of a configuration said: the outer one only repeats it among other things."""

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        """Make the parser; a parser inside of another takes its formatter from there."""
        super().__init__(*arguments, **{"formatter_class": HelpFormatter, **settings})

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        """Raise what the parser says in one line, with the nearest name in front where one was misspelt.

        Raises:
            ConfigurationError: Always.
            RenamedSettingError: If it is an option's name of before.
        """
        for name in RENAMED.keys() & set(_names_in(message)):
            raise RenamedSettingError("EvaluationDataModule", name, RENAMED[name]) from ex
        parser: Any = getattr(ex, "subcommand_parser", None) or self
        options = [option for action in parser._actions for option in action.option_strings]
        command = parser.prog.replace(" [options]", "")
        said = next((said for said in self.inside if said in message), None)
        if said is None:
            near = nearest_name(message, getattr(self, "args", ()), [*options, *self.classes])
            said = near + " ".join(message.split())
            if _READ_AS_OTHER.search(message):
                said += " (YAML reads it as a number or truth value; write a text that looks like one in quotes)"
            self.inside.append(said)
        raise ConfigurationError(f"{said.rstrip('.')}. `{command} --help` lists all options.") from ex


class Parser(OneLineErrors, jsonargparse.ArgumentParser):
    """Parser of the plain commands."""

    def parse_args(self, args: Sequence[str] | None = None, *more: Any, **settings: Any) -> Any:  # type: ignore[override]
        """Parse a command line, with shipped configurations by name and own tables; no text may be empty."""
        known = {option for action in self._actions for option in action.option_strings}
        given = with_shipped(self.prog.split()[-1], as_known(sys.argv[1:] if args is None else args, known))
        given = spell_tables(given, columns="--label_column" in known) if "--datasets" in known else given
        return refuse_empty(given, super().parse_args(given, *more, **settings))


def as_known(arguments: Sequence[str], known: Collection[str]) -> list[str]:
    """Return options as their parser spells them: dashes and underscores mean the same, in nested keys too.

    Args:
        arguments: A command line.
        known: Options of the parser; what is none of them in either spelling stays as it was typed.

    Example:
        >>> as_known(["--dry-run", "--fit.max-length=3", "--output", "a-b"], {"--dry_run", "--fit.max_length"})
        ['--dry_run', '--fit.max_length=3', '--output', 'a-b']
    """
    spellings = {option.replace("-", "_"): option for option in known}
    return [_as_known(argument, known, spellings) if argument.startswith("--") else argument for argument in arguments]


def _as_known(argument: str, known: Collection[str], spellings: Mapping[str, str]) -> str:
    name, equals, value = argument.partition("=")
    return argument if name in known else spellings.get(name.replace("-", "_"), name) + equals + value


def refuse_empty(arguments: Sequence[str], parsed: Any) -> Any:
    """Return what was parsed, unless a text is empty: as a folder it would be the working directory.

    Settings of classes are their own affair: Lightning's have empty prefixes and versions.

    Args:
        arguments: The command line.
        parsed: What was parsed of it, files included.

    Raises:
        SettingError: A text is empty.
    """
    if "" in arguments:
        place = arguments.index("")
        before = arguments[place - 1] if place else ""
        name = before if before.startswith("--") else f"argument {place + 1}"
    else:
        empty = (name for name, value in parsed.items() if value == "" and "init_args" not in name)
        name = next(empty, "")
    if name:
        raise SettingError(name, "", "a text that is not empty; leave it out for its default")
    return parsed


def help_settings(description: str, usage: str, examples: Iterable[str]) -> dict[str, Any]:
    """Return what a parser needs for its help: one line of usage, the examples below the options.

    Args:
        description: What the command does.
        usage: The one line, from ``semprune`` on.
        examples: Whole command lines.

    Example:
        >>> print(help_settings("Tables.", "semprune report RUN_DIR", ["semprune report runs/quickstart"])["epilog"])
        examples:
          semprune report runs/quickstart
    """
    return {"usage": usage, "description": description, "epilog": "\n  ".join([EXAMPLES, *examples])}


def command_parser(command: str, description: str, usage: str, examples: Iterable[str]) -> Parser:
    """Return the parser of a plain command, without arguments.

    Args:
        command: Its name.
        description: What it does.
        usage: What follows its name in the line of usage.
        examples: Whole command lines.
    """
    return Parser(
        prog=f"semprune {command}", **help_settings(description, f"semprune {command} {usage}".rstrip(), examples)
    )


def configured(parser: Parser, parsed: Any, kind: type[Config]) -> Config:
    """Return the configuration that arguments and YAML say; other options of the command are left aside.

    Args:
        parser: The command's parser, which has the fields of ``kind`` as arguments.
        parsed: What it parsed.
        kind: Dataclass of the configuration.

    Raises:
        SettingError: A value lies outside the range of its type.
        SempruneError: Of the kind of what is wrong with a value.
    """
    try:
        settings = vars(parser.instantiate(parsed))
    except ValueError as error:  # of a value that may be of several types, the parser tells what each of them said
        if isinstance(error.__cause__, SempruneError):
            raise error.__cause__ from error
        raise
    config = kind(**{name: settings[name] for name in inspect.signature(kind).parameters})
    check_ranges(config)
    return config
