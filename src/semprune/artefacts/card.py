"""A folder's model card: the README.md that the hub shows, with the front matter by which it is found."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from typing import Any, Final

from huggingface_hub import ModelCard, ModelCardData, metadata_load
from yaml import YAMLError

from semprune.errors import CorruptArtefactError
from semprune.errors.base import what_it_says
from semprune.io.files import atomic
from semprune.io.safe_text import markdown_cell

CARD: Final = "README.md"
LICENCE_KEYS: Final = ("license", "license_name", "license_link")
INHERITED: Final = (*LICENCE_KEYS, "language")
"""What a pruned model's card says as its original's does."""
COST: Final = "## What was kept and lost"
UNMEASURED: Final = (
    "Not measured yet. `semprune study` measures dense and pruned model on the same items; `semprune report RUN_DIR "
    "--card FOLDER` then writes the result here."
)


@dataclass(frozen=True, slots=True)
class Origin:
    """Which model a folder was made from, as a card that is shared may say it: no path of this machine.

    Attributes:
        name: For readers.
        hub: Its name or names on the hub; None where it is not known to be there.
        inherited: Entries of its own card that a copy's card repeats: licence and language, as far as they are known.
    """

    name: str
    hub: str | list[str] | None = None
    inherited: Mapping[str, Any] = field(default_factory=dict)

    @property
    def licence(self) -> str:
        """The licence for readers; empty where it is not known."""
        return str(self.inherited.get("license_name") or self.inherited.get("license") or "")


def origin_of_folder(folder: Path, hub: str | None = None) -> Origin:
    """What a model folder's own card says of where it comes from.

    Args:
        folder: The model's.
        hub: Its name on the hub, where it came from there; else that which its card names as the base.
    """
    stated = stated_in(folder)
    base = hub or stated.get("base_model")
    known = {key: stated[key] for key in INHERITED if stated.get(key)}
    return Origin(short_name(str(hub or folder.resolve().name)), base, known)


def stated_in(folder: Path) -> dict[str, Any]:
    """The front matter of a folder's card; empty where there is no card or none that can be read.

    What is copied from is not ours: a card that the hub would refuse must not keep a model from being pruned.
    """
    try:
        return metadata_load(folder / CARD) or {}
    except (OSError, ValueError, YAMLError):
        return {}


def short_name(text: str) -> str:
    """A name or path without what only this machine knows.

    Example:
        >>> short_name("meta-llama/Llama-3.2-1B"), short_name("/home/ada/models/own"), short_name("c4*0.5+wiki*0.5")
        ('Llama-3.2-1B', 'own', 'c4*0.5+wiki*0.5')
    """
    return PurePath(text).name or text


def write_card(
    folder: Path,
    origin: Origin,
    title: str,
    about: Mapping[str, Any],
    rows: Iterable[tuple[str, object]],
    usage: str,
    *,
    weights: bool = True,
) -> Path:
    """Write a folder's card, atomically.

    Args:
        folder: The folder.
        origin: What it was made from.
        title: What it is.
        about: The entry ``semprune`` of the front matter: plain values for programs. Its ``method`` is a tag too.
        rows: The same for readers: what, and how it was.
        usage: Code that loads it, as Markdown.
        weights: Whether the folder is a model; masks or an association alone are none that transformers loads.

    Returns:
        The path of the card.
    """
    data = ModelCardData(
        base_model=origin.hub,
        library_name="transformers" if weights else "semprune",
        pipeline_tag="text-generation" if weights else None,
        tags=["semprune", "pruned" if "method" in about else "association", *_tag(about)],
        **origin.inherited,
        semprune=dict(about),
    )
    table = "\n".join(f"| {markdown_cell(name)} | {markdown_cell(str(value))} |" for name, value in rows)
    cost = f"\n{COST}\n\n{UNMEASURED}\n" if weights else ""
    text = (
        f"\n# {markdown_cell(title)}\n\n| | |\n|---|---|\n{table}\n{cost}"
        f"\n## How to use it\n\n{usage}\n\n## Licence\n\n{_licence(origin)}\n"
    )
    return _save(folder / CARD, f"---\n{data.to_yaml()}\n---\n{text}")


def with_cost(folder: Path, cost: str, results: Mapping[str, Any]) -> Path:
    """Put what pruning kept and lost into a folder's card, in place of what the card said of it.

    Args:
        folder: With a card that :func:`write_card` wrote; what its owner changed elsewhere in it stays.
        cost: The section, as Markdown without its heading.
        results: Entries of the front matter to add, as ``ModelCardData`` takes them.

    Raises:
        CorruptArtefactError: There is no card that can be read.
    """
    path = folder / CARD
    try:
        stated = metadata_load(path) or {}
        text = ModelCard(path.read_text(encoding="utf-8"), ignore_metadata_errors=True).text
    except (OSError, ValueError, YAMLError) as error:
        remedy = "Prune again into a new folder to have one written."
        raise CorruptArtefactError(path, what_it_says(error), remedy) from error
    before = {key: value for key, value in stated.items() if key != "model-index"}
    data = ModelCardData(**before, **results)
    parts = re.split(rf"^{COST}\n.*?(?=^## |\Z)", text, maxsplit=1, flags=re.MULTILINE | re.DOTALL)
    sections = [parts[0].rstrip(), f"{COST}\n\n{cost.strip()}", *(after.strip() for after in parts[1:])]
    return _save(path, f"---\n{data.to_yaml()}\n---\n" + "\n\n".join(filter(None, sections)) + "\n")


def _tag(about: Mapping[str, Any]) -> list[str]:
    return [str(about["method"])] if "method" in about else []


def _licence(origin: Origin) -> str:
    if origin.licence:
        return f"That of the original: {markdown_cell(origin.licence)}."
    return "That of the original, which is not known here: look it up, and name it above, before you share this."


def _save(path: Path, text: str) -> Path:
    with atomic(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")
    return path
