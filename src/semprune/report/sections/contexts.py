"""Tokens that excite a neuron, in their text: cut to length, and harmless to the line they stand in."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import Any

from semprune.report.run.formats import number
from semprune.report.run.load import RunArtefacts
from semprune.report.run.schema import records

CONTEXTS = 5  # per neuron
CONTEXT_LENGTH = 60  # characters kept on each side of the token


@dataclass(frozen=True, slots=True)
class Context:
    """A token that excites the neuron, in its text."""

    before: str
    token: str
    after: str
    dataset: str
    activation: str


def contexts_by_neuron(run: RunArtefacts) -> dict[str, list[Context]]:
    """The most exciting contexts of each neuron; empty without ``contexts.parquet``."""
    found: dict[str, list[Context]] = defaultdict(list)
    if run.contexts is None:
        return found
    for row in records(run.contexts.sort_values(["neuron", "rank"], kind="stable")):
        if len(found[row["neuron"]]) < CONTEXTS:
            found[row["neuron"]].append(_context(row))
    return found


def _context(row: dict[str, Any]) -> Context:
    """Cut the text on both sides; white space around the token goes to its neighbours, a blank token gets a sign."""
    before, token, after = (printable(row[part]) for part in ("before", "token", "after"))
    core = token.strip()
    if core:
        before += token[: len(token) - len(token.lstrip())]
        after = token[len(token.rstrip()) :] + after
    before = before if len(before) <= CONTEXT_LENGTH else "…" + before[-CONTEXT_LENGTH:]
    after = after if len(after) <= CONTEXT_LENGTH else after[:CONTEXT_LENGTH] + "…"
    sign = "⏎" if "\n" in row["token"] else "␣"
    return Context(before, core or sign, after, row["dataset"], number(row["activation"]))


def printable(text: str) -> str:
    r"""Text without what would break a line or its direction: white space becomes a blank, controls go.

    Example:
        >>> printable("a\n b\x00\u202ec")
        'a  bc'
    """
    return "".join(" " if character.isspace() else character for character in text if _shows(character))


def _shows(character: str) -> bool:
    # Bidirectional controls (embedding, override, isolate) would turn the rest of the line around.
    return character.isspace() or (character.isprintable() and character not in "\u202a\u202b\u202c\u202d\u202e")
