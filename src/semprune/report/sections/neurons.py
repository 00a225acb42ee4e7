"""What the neuron section shows: per concept its top neurons, what excites them, and what pruning left of them."""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass
from typing import Any

from semprune.artefacts import records
from semprune.report.run.formats import number, percent, share_bar, small
from semprune.report.run.labels import Setting
from semprune.report.run.load_run import RunArtefacts
from semprune.report.sections.section import Section
from semprune.report.sections.words import ConceptWords, concept_words
from semprune.report.tables.semantic_loss import concept_labels

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


LINES = 2400  # lines of contexts and activations in the whole page, shared by the concepts: about 1 MB

CLASSES = {
    "specific": "responds to this concept and to little else",
    "shared": "responds to several concepts",
    "global": "responds to any concept: a general carrier",
    "suppressor": "falls silent on this concept",
    "dead": "hardly ever active",
    "positional": "responds to where a token stands, more than to any concept",
}


@dataclass(frozen=True, slots=True)
class Activation:
    """What one setting left of the neuron; ``bar`` is the pruned share of the dense activation in per cent."""

    setting: Setting
    dense: str
    pruned: str
    share: str
    bar: float | None
    kept_in: str
    kept_out: str


@dataclass(frozen=True, slots=True)
class Card:
    """One neuron of one concept."""

    layer: int
    index: int
    neuron_class: str
    about: str
    effect: str
    t: str
    q: str
    specificity: str
    contexts: list[Context]
    activations: list[Activation]


@dataclass(frozen=True, slots=True)
class ConceptCards:
    """A concept's cards, how many neurons the artefact lists for it, and its words where it has any."""

    key: str
    label: str
    level: str
    total: int
    cards: list[Card]
    words: ConceptWords | None


def concept_cards(run: RunArtefacts) -> list[ConceptCards]:
    """Cards by concept, in the artefact's order; empty without ``neurons.parquet``."""
    if run.neurons is None:
        return []
    frame = run.neurons.assign(label=concept_labels(run.neurons))
    concepts = list(dict.fromkeys(frame["label"]))
    lines_per_card = CONTEXTS + len(run.settings) + 2
    most = max(3, min(10, LINES // (lines_per_card * max(len(concepts), 1))))
    contexts, activations, words = contexts_by_neuron(run), _activations(run), concept_words(run)
    shown = []
    for position, label in enumerate(concepts):
        rows = records(frame[frame["label"] == label].sort_values("rank"))
        cards = [_card(row, contexts, activations) for row in rows[:most]]
        own = words.get(rows[0]["concept"])
        shown.append(ConceptCards(f"neurons-{position}", label, rows[0]["level"], len(rows), cards, own))
    return shown


def _card(
    row: dict[str, Any], contexts: dict[str, list[Context]], activations: dict[tuple[str, str], list[Activation]]
) -> Card:
    return Card(
        layer=row["layer"],
        index=row["index"],
        neuron_class=row["neuron_class"],
        about=CLASSES.get(row["neuron_class"], ""),
        effect=small(row["effect"]),
        t=number(row["t"]),
        q=small(row["q"]),
        specificity=percent(row["specificity"]),
        contexts=contexts.get(row["neuron"], []),
        activations=activations.get((row["neuron"], row["concept"]), []),
    )


def _activations(run: RunArtefacts) -> dict[tuple[str, str], list[Activation]]:
    found: dict[tuple[str, str], list[Activation]] = defaultdict(list)
    if run.neuron_activations is None:
        return found
    rows = defaultdict(list)
    for row in records(run.neuron_activations):
        rows[row["setting"]].append(row)
    for setting in run.settings:
        for row in rows[setting.label]:
            found[row["neuron"], row["concept"]].append(_activation(row, setting))
    return found


def _activation(row: dict[str, Any], setting: Setting) -> Activation:
    share = row["pruned"] / row["dense"] if row["dense"] else math.nan
    return Activation(
        setting=setting,
        dense=small(row["dense"]),
        pruned=small(row["pruned"]),
        share=percent(share),
        bar=share_bar(share),
        kept_in=percent(row["kept_in"]),
        kept_out=percent(row["kept_out"]),
    )


SECTION = Section("neurons", "Neurons", lambda _, shown: {"concepts": concept_cards(shown)})
