"""Misspelt options, refused before anything heavy is loaded: what a command takes is read from its source.

To build the parser of a command that computes, torch must be imported, for ``fit`` and ``test`` Lightning too: seconds,
to say that an option is unknown. The names of options stand in the sources: as they are typed, in fields of the
dataclasses of ``add_class_arguments``, in the signatures of Lightning's trainer and of the module. Names that are
not seen here are left to the parser, which has the last word.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Sequence
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from semprune.cli.parsing.arguments import nearest_name
from semprune.errors import ConfigurationError

CLASS = "NeuronSemanticAttribution"
LIGHTNING = ("config", "print_config", "seed_everything", "data")
"""What Lightning's command line adds to the arguments of its trainer, its model and its data."""

_OPTION = re.compile(r"--\w[\w.-]*")
Known = dict[str, bool]
"""Options by name, and whether what stands below them is known too (``--fit.limit`` below ``--fit``)."""


def refuse_misspelt(command: str, arguments: Sequence[str]) -> None:
    """Refuse an option that the command has not, without loading it.

    Args:
        command: Its name.
        arguments: What stands after the name on the command line.

    Raises:
        ConfigurationError: An option is unknown.

    Example:
        >>> refuse_misspelt("study", ["--fit.limit", "3", "--dry-run"])
        >>> refuse_misspelt("study", ["--limt", "3"])
        Traceback (most recent call last):
            ...
        semprune.errors.ConfigurationError: 'limt' is unknown; did you mean 'limit'? Unrecognized option --limt...
    """
    known = lightning_options(command) if command in ("fit", "test") else plain_options(command)
    for given in arguments:
        option = given.partition("=")[0]
        name = option[2:].rstrip("+").replace("-", "_")
        if option.startswith("--") and name and not _may_be(name, known):
            said = f"{nearest_name(f'--{name}', [], known)}Unrecognized option {option}."
            raise ConfigurationError(f"{said} `semprune {command} --help` lists all options.")


def _may_be(name: str, known: Known) -> bool:
    """Whether an option exists, or may: below one whose parts are not known, or an abbreviation."""
    if name in known or name.endswith(".help") or any(option.startswith(name) for option in known):
        return True
    parts = name.split(".")
    above = (".".join(parts[:count]) for count in range(len(parts) - 1, 0, -1))
    return next((not known[each] for each in above if each in known), False)


@cache
def plain_options(command: str) -> Known:
    """Options of a plain command.

    Example:
        >>> known = plain_options("explain")
        >>> "text" in known, "txt" in known
        (True, False)
    """
    module = f"semprune.cli.commands.{command}"
    known: Known = {"help": True, "print_config": True} | dict.fromkeys(_literals(module), True)
    for call in (node for node in ast.walk(_tree(module)) if isinstance(node, ast.Call)):
        called = call.func.attr if isinstance(call.func, ast.Attribute) else ""
        if called == "add_class_arguments" and isinstance(call.args[0], ast.Name):
            known |= _fields(module, call.args[0].id)
    return known


@cache
def _literals(module: str) -> frozenset[str]:
    """Options that stand as such in a source of this room, or in one that it imports."""
    found = set()
    for node in ast.walk(_tree(module)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and _OPTION.fullmatch(node.value):
            found.add(node.value[2:].replace("-", "_"))
        elif isinstance(node, ast.ImportFrom) and str(node.module).startswith("semprune.cli."):
            found |= _literals(str(node.module))
    return frozenset(found)


@cache
def lightning_options(command: str) -> Known:
    """Options of ``fit`` and ``test``.

    Example:
        >>> known = lightning_options("fit")
        >>> "trainer.max_epochs" in known, "trainer.max_epoch" in known, "model.concepts" in known
        (True, False, True)
    """
    trainer = "lightning.pytorch.trainer.trainer"
    known = plain_options("lightning") | {"backbone": True, "model": True, "trainer": True}
    known |= {name: name != "data" for name in LIGHTNING}
    known |= {f"backbone.{name}": True for name in _fields("semprune.study.config.schema", "BackboneConfig")}
    known |= {name: True for name in _parameters(trainer, "Trainer", command)}
    known |= {f"trainer.{name}": False for name in _parameters(trainer, "Trainer", "__init__")}
    known |= {f"model.{name}": False for name in _parameters("semprune.attribution.module", CLASS, "__init__")}
    return known


def _fields(module: str, name: str, prefix: str = "") -> Known:
    """Fields of a dataclass, and of those that its fields are of."""
    found = _class(module, name)
    if found is None:
        return {}
    module, tree = found
    inherited = (base.id for base in tree.bases if isinstance(base, ast.Name))
    known = {key: value for base in inherited for key, value in _fields(module, base, prefix).items()}
    for node in tree.body:
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            field = f"{prefix}{node.target.id}"
            kinds = [each.id for each in ast.walk(_without_range(node.annotation)) if isinstance(each, ast.Name)]
            below = {key: value for kind in kinds for key, value in _fields(module, kind, f"{field}.").items()}
            known |= {field: bool(below)} | below
    return known


def _without_range(annotation: ast.expr) -> ast.expr:
    """``int`` of ``Annotated[int, Range(2)]``."""
    if isinstance(annotation, ast.Subscript) and ast.unparse(annotation.value) == "Annotated":
        assert isinstance(annotation.slice, ast.Tuple)  # a type and what is said of it
        return annotation.slice.elts[0]
    return annotation


def _class(module: str, name: str) -> tuple[str, ast.ClassDef] | None:
    """A class of the package, and the module whose source has it: this one, or one that it imports it from."""
    tree = _tree(module)
    for node in tree.body:
        if isinstance(node, ast.ClassDef) and node.name == name:
            return module, node
        if isinstance(node, ast.ImportFrom) and any((each.asname or each.name) == name for each in node.names):
            own = node.module is not None and node.module.startswith("semprune")
            return _class(str(node.module), name) if own else None
    return None


def _parameters(module: str, name: str, method: str) -> Iterator[str]:
    """Parameters of a class's method, without ``self``."""
    for node in ast.walk(_tree(module)):
        if isinstance(node, ast.ClassDef) and node.name == name:
            for each in node.body:
                if isinstance(each, ast.FunctionDef) and each.name == method:
                    yield from (parameter.arg for parameter in [*each.args.args[1:], *each.args.kwonlyargs])


@cache
def _tree(module: str) -> ast.Module:
    """The source of a module; no package on the way to it is imported but the outermost, which loads nothing."""
    outermost, _, inside = module.partition(".")
    spec = find_spec(outermost)
    assert spec is not None  # both packages are required
    assert spec.submodule_search_locations is not None
    path = Path(spec.submodule_search_locations[0], *inside.split("."))
    file = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    return ast.parse(file.read_text(encoding="utf-8"))
