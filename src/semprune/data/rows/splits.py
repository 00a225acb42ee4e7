"""Which documents are for fitting and which for evaluation: stable hashes, never a random generator.

The side of a document depends on its identifier alone, and whether it is held out from fitting on those and the labels
of its data set. No seed, limit or order of rows moves it, so that what one run fitted on no other run evaluates.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Literal, TypeVar

from semprune.data.registry import DatasetSpec, dataset_spec
from semprune.data.rows.examples import Example, build_examples, normalise
from semprune.data.rows.sources import Source, chosen_source, has_fit_split, read_rows
from semprune.errors import SettingError

Split = Literal["fit", "evaluation"]
Thing = TypeVar("Thing")

HELD_OUT = 0.25
"""Share of reserved documents that runs hold out from fitting by default; calibration and guidance never read these."""
MOST_SCREENED = 0.2
"""Largest share of a data set's items that screening takes: the rest is what it is for (ours)."""

OVERLAP_WORDS = 8
"""Words in a row that two texts must share to overlap; GPT-2 was checked with 8-grams (Radford et al., 2019)."""


def hash_share(key: str) -> float:
    """A number in [0, 1) that depends on nothing but the key, uniform over keys.

    Example:
        >>> hash_share("split/toy/1") == hash_share("split/toy/1")
        True
    """
    return int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "big") / 2.0**64


def select(things: Sequence[Thing], limit: int | None, key: Callable[[Thing], str]) -> list[Thing]:
    """The first ``limit`` things in the order of their keys' hashes: a larger limit only adds.

    Args:
        things: What to select from.
        limit: How many; None for all.
        key: Identifier of a thing, with the seed in it.
    """
    return sorted(things, key=lambda thing: hash_share(key(thing)))[:limit]


def evaluation_key(name: str, seed: int) -> Callable[[Example], str]:
    """Key of :func:`select` for the order in which a data set's examples are evaluated."""
    return lambda example: f"items/{seed}/{name}/{example.example_id}"


def keep_back(name: str, examples: Sequence[Example], items: int) -> tuple[list[Example], list[Example]]:
    """Take the examples for screening from those that could be evaluated.

    They are whole documents from the end of the order in which seed 0 evaluates, so that the first items that a limit
    selects stay the same ones; of a small data set at most the share :data:`MOST_SCREENED`.

    Args:
        name: Name of the data set.
        examples: All that could be evaluated.
        items: How many to take; 0 for none.

    Returns:
        Examples to screen with, examples to evaluate; they share no document.
    """
    ordered = select(examples, None, evaluation_key(name, 0))
    most = int(MOST_SCREENED * len(ordered))
    sizes = Counter(example.document_id for example in ordered)  # in the order of each document's first example
    taken: dict[str, int] = {}
    for document in reversed(sizes):
        if sum(taken.values()) >= items:
            break
        if sum(taken.values()) + sizes[document] <= most:
            taken[document] = sizes[document]
    screened = [example for example in ordered if example.document_id in taken][:items]
    return screened, [example for example in examples if example.document_id not in taken]


GOLDEN = (5**0.5 - 1) / 2
"""Multiples of it, modulo 1, spread evenly however many there are: the golden ratio's low-discrepancy sequence."""


def held_out_places(name: str, labelled: Iterable[tuple[str, str | None]]) -> dict[str, float]:
    """Give each document of a data set's fit split its place in [0, 1): it is held out where that is below the share.

    Documents of one label (of most of its texts) spread evenly over the places, in the order in which seed 0 selects:
    about the same share of each label is held out, of the first documents that a limit selects as of all. A larger
    share holds out the same documents and more.

    Source: ours.

    Args:
        name: Name of the data set.
        labelled: Document and label of each text of the whole split, in any order; None where there are no labels.

    Example:
        >>> places = held_out_places("films", [(str(n), "good" if n % 4 else "bad") for n in range(400)])
        >>> held_out = [int(document) for document, place in places.items() if place < 0.25]
        >>> len(held_out), sum(n % 4 == 0 for n in held_out)
        (100, 25)
    """
    labels: dict[str, Counter[str]] = {}
    for document, label in labelled:
        labels.setdefault(document, Counter())[label or ""] += 1
    seen: Counter[str] = Counter()
    places = {}
    for document in sorted(labels, key=lambda document: hash_share(document_key(name, 0, document))):
        most = max(sorted(labels[document]), key=labels[document].__getitem__)
        places[document] = (hash_share(f"validation/{name}/{most}") + GOLDEN * seen[most]) % 1
        seen[most] += 1
    return places


def learned_examples(spec: DatasetSpec, source: Source = "auto", held_out: float = HELD_OUT) -> list[Example]:
    """Read the fit side without the documents that a fit holds out: what fits, calibration and guidance may read.

    Args:
        spec: The data set.
        source: Where rows come from, see :mod:`semprune.data.rows.sources`.
        held_out: Share of documents that the fit holds out.

    Raises:
        DatasetUnavailableError: If the rows cannot be had.
        DatasetSchemaError: If the rows do not hold what they must.
    """
    examples = read_split(spec, "fit", source)
    places = held_out_places(spec.name, ((each.document_id, each.class_name(spec)) for each in examples))
    return [each for each in examples if places[each.document_id] >= held_out]


def document_key(name: str, seed: int, document: str) -> str:
    """Key of :func:`select` for the order in which a limit takes a data set's documents."""
    return f"documents/{seed}/{name}/{document}"


def read_split(spec: DatasetSpec, split: Split, source: Source = "auto") -> list[Example]:
    """Read the examples of one side of a data set.

    Args:
        spec: The data set.
        split: ``fit`` or ``evaluation``.
        source: Where rows come from, see :mod:`semprune.data.rows.sources`.

    Returns:
        The examples, in the order of the rows.

    Raises:
        DatasetUnavailableError: If the rows cannot be had.
        DatasetSchemaError: If the rows do not hold what they must.
    """
    if split not in ("fit", "evaluation"):
        raise SettingError("split", split, "fit or evaluation")
    if spec.reserve == 0.0 and split == "evaluation":
        return build_examples(spec, read_rows(spec, source))
    if spec.reserve == 0.0:
        examples = build_examples(spec, read_rows(spec, source, fit=True), prefix="fit-")
        fit = {example.document_id for example in examples}
    else:
        examples = build_examples(spec, read_rows(spec, source))
        keys = {example.document_id: f"split/{spec.name}/{example.document_id}" for example in examples}
        fit = {document for document, key in keys.items() if hash_share(key) < spec.reserve}
    fit -= _overlapping(spec, examples, source)
    return [example for example in examples if (example.document_id in fit) == (split == "fit")]


def read_shots(spec: DatasetSpec, source: Source = "auto") -> tuple[list[Example], list[Example]]:
    """Read the examples that prompts may show, and those that are evaluated beside them.

    The shown ones come from the fit side where the data set reserves one or the source that is read has a split
    for it. Elsewhere they are the share ``shot_reserve`` of the evaluated documents, which are then not evaluated.

    Args:
        spec: The data set.
        source: Where rows come from, see :mod:`semprune.data.rows.sources`.

    Returns:
        Examples to show, examples to evaluate; they share no document.

    Raises:
        DatasetUnavailableError: If the rows cannot be had.
        DatasetSchemaError: If the rows do not hold what they must.
    """
    evaluated = read_split(spec, "evaluation", source)
    if spec.reserve > 0.0 or has_fit_split(chosen_source(spec, source)):
        return read_split(spec, "fit", source), evaluated
    shown = [e for e in evaluated if hash_share(f"shots/{spec.name}/{e.document_id}") < spec.shot_reserve]
    documents = {example.document_id for example in shown}
    return shown, [example for example in evaluated if example.document_id not in documents]


def _overlapping(spec: DatasetSpec, examples: Iterable[Example], source: Source) -> set[str]:
    """Documents that share a text with the evaluated rows of ``exclude_overlap``, which may name the set itself."""
    runs: set[str] = set()
    for other in map(dataset_spec, spec.exclude_overlap):
        for row in build_examples(other, read_rows(other, source)):
            runs |= _runs(other, row)
    return {example.document_id for example in examples if runs & _runs(spec, example)}


def _runs(spec: DatasetSpec, example: Example) -> set[str]:
    """Runs of each text column: one sentence of a pair is enough to overlap."""
    return set().union(*(word_runs(example.columns[column]) for column in spec.text))


def word_runs(text: str, length: int = OVERLAP_WORDS) -> set[str]:
    """All runs of ``length`` normalised words, and the whole normalised text.

    Example:
        >>> sorted(word_runs("Not bad, at all", length=3))
        ['bad at all', 'not bad at', 'not bad at all']
    """
    words = normalise(text).split()
    return {" ".join(words), *(" ".join(words[i : i + length]) for i in range(len(words) - length + 1))}
