"""Two pages that are made from the code whenever the site is built, so that they cannot be out of date.

``reference/commands.md`` holds the options of every command, which are the keys of its YAML; ``reference/classes.md``
the settings of the classes that configurations of ``fit`` and ``test`` name. Types, defaults and texts are those of the
parsers, which take them from signatures and docstrings.
"""

from __future__ import annotations

import argparse
import dataclasses
import re
from collections.abc import Iterable
from importlib import import_module
from typing import Any, get_args

from semprune.attribution import NeuronSemanticAttribution
from semprune.cli.commands.lightning import USAGE
from semprune.cli.dispatch import PARSERS
from semprune.cli.parsing.arguments import HelpFormatter, Parser
from semprune.data import CalibrationDataModule, DocumentDataModule, EvaluationDataModule
from semprune.pruning.callbacks.methods import CALLBACKS, HoldMasks
from semprune.study.config.schema import BackboneConfig

COMMANDS = """# Commands

Made from the code. Each option is also a key of the YAML that `--config` names, written with the same dots:
`--fit.limit 100` is `limit: 100` below `fit:`. `--print_config` prints a whole YAML, defaults included; options after
`--config` win over it. A list is written `[a,b]`; `--datasets+ c` appends to one. `null` stands for nothing.
"""
CLASSES = """# Settings of classes

Made from the code. What configurations of `semprune fit` and `semprune test` name: the groups `backbone` and `model`,
data modules (`data.class_path`) and callbacks (`trainer.callbacks`), whose settings stand in `init_args`. The rest is
[Lightning's](https://lightning.ai/docs/pytorch/stable/common/trainer.html).
"""
GROUPS: dict[str, tuple[type[Any], ...]] = {
    "`backbone`": (BackboneConfig,),
    "`model`": (NeuronSemanticAttribution,),
    "`data`": (EvaluationDataModule, DocumentDataModule, CalibrationDataModule),
    "`trainer.callbacks`": (*CALLBACKS.values(), HoldMasks),
}


def on_files(files: Any, config: Any) -> Any:
    """Add the pages to MkDocs' files; imported here, since only who builds the site has it."""
    file = import_module("mkdocs.structure.files").File
    for path, text in (("commands.md", commands_page()), ("classes.md", classes_page())):
        files.append(file.generated(config, f"reference/{path}", content=text))
    return files


def on_page_markdown(markdown: str, **settings: Any) -> str:
    """Lead links to the repository's README to the site's first page, which stands for it."""
    return re.sub(r"\]\((?:\.\./)+README\.md(?:#[\w-]*)?\)", "](index.md)", markdown)


def commands_page() -> str:
    """Return the page of commands: those of LightningCLI by their help's head, the others with every option."""
    parts = [COMMANDS]
    for name, about in USAGE.items():
        parts.append(_head(name, about["description"], about["usage"], about["epilog"]))
        parts.append("Settings: [classes](classes.md).\n")
    for name, make in PARSERS.items():
        parser = make()
        parts.append(_head(name, parser.description, parser.usage, parser.epilog))
        parts += _tables(parser)
    return "\n".join(parts)


def classes_page() -> str:
    """Return the page of classes, with every parameter of each."""
    parts = [CLASSES]
    for group, classes in GROUPS.items():
        parts.append(f"## {group}\n")
        for each in classes:
            parser = Parser()
            parser.add_class_arguments(each)
            if len(classes) > 1:
                parts.append(f"### {each.__name__}\n")
            parts += _tables(parser)
    return "\n".join(parts)


def _head(name: str, about: str, usage: str, epilog: str) -> str:
    return f"## {name}\n\n{about}\n\n```sh\n{usage}\n```\n\nExamples:\n\n```sh\n{_lines(epilog)}\n```\n"


def _lines(epilog: str) -> str:
    return "\n".join(line.removeprefix("  ") for line in epilog.splitlines()[1:])


def _tables(parser: argparse.ArgumentParser) -> Iterable[str]:
    """One table per group of options that holds any of the command's own."""
    formatter = HelpFormatter(prog="")
    for group in parser._action_groups:
        rows = [row for action in group._group_actions if (row := _row(formatter, action)) is not None]
        if rows:
            head = ["| option | type | default | |", "| --- | --- | --- | --- |"]
            title = (group.title or "").rstrip(":")
            named = title not in ("options", "positional arguments")
            yield (f"**{title}**\n\n" if named else "") + "\n".join([*head, *rows]) + "\n"
    for action in parser._actions:
        if action.dest.endswith(".help"):
            continue
        for kind in get_args(getattr(action, "_typehint", None)):
            if isinstance(kind, type) and dataclasses.is_dataclass(kind):  # options of a part that may be null
                part = Parser()
                part.add_class_arguments(kind, action.dest)
                yield from _tables(part)


def _row(formatter: HelpFormatter, action: argparse.Action) -> str | None:
    if action.dest in ("help", "config", "print_config") or action.dest is argparse.SUPPRESS:
        return None
    if action.dest.endswith(".help"):
        return None  # of a part, whose options have a table of their own
    kind = formatter._get_type_str(action)
    if kind is None and "Path to a configuration file" in str(action.help):
        return None  # a whole group from a file
    default = "required" if action.required else f"`{'null' if action.default is None else action.default}`"
    name = f"--{action.dest}" if action.option_strings else action.dest
    if action.choices is not None:
        kind = ", ".join(map(str, action.choices))
    text = " ".join(str(action.help or "").split())
    text = text.replace("|", "\\|")  # a bar between backticks stays as it is
    return f"| `{name}` | `{kind or 'switch'}` | {default} | {text} |"
