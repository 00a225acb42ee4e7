"""Items to evaluate and documents to fit on, by name."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from semprune.data.prompts.chat import as_chat, check_chat_template
from semprune.data.prompts.render import ALL_PROMPTS, ShotPicker, find_prompts, render
from semprune.data.registry import DatasetSpec, dataset_spec
from semprune.data.rows.examples import Example
from semprune.data.rows.sources import Source
from semprune.data.rows.splits import (
    Split,
    document_key,
    evaluation_key,
    held_out_places,
    keep_back,
    read_shots,
    read_split,
    select,
)
from semprune.data.settings import ChatSettings
from semprune.errors import SettingError
from semprune.ranges import checked
from semprune.types import Amount, Count, Document, Item, Limit, PartOrNone, Seed

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


@checked
def load_items(
    name: str,
    *,
    limit: Limit = None,
    seed: Seed = 0,
    prompt: str | None = None,
    source: Source = "auto",
    shots: Amount = 0,
    chat: bool | ChatSettings = False,
    tokenizer: PreTrainedTokenizerBase | None = None,
    screening: Amount = 0,
) -> list[Item]:
    """Load a data set's items for evaluation.

    Args:
        name: Name of the data set.
        limit: Number of items; None for all. A larger limit adds items and removes none.
        seed: Which items a limit selects, and which examples are shown.
        prompt: Name of one of its prompts; ``all`` for every one, on the same examples; None for the first.
        source: Where rows come from, see :mod:`semprune.data.rows.sources`.
        shots: Answered examples before each item, of documents that are not evaluated; the same ones before all
            items of a data set (of a subject, for mmlu), so that their computation can be shared.
        chat: Render contexts as a user's turn, see :class:`semprune.data.ChatSettings`.
        tokenizer: Whose chat template ``chat`` uses.
        screening: Items that are kept back for :func:`load_screening_items`: the same number gives the same ones.

    Returns:
        The items of one prompt after another, each in an order that depends on the seed and their identifiers only.

    Raises:
        UnknownDatasetError: If there is no such data set.
        UnknownPromptError: If it has no such prompt.
        DatasetUnavailableError: If its rows cannot be had.
        DatasetSchemaError: If its rows do not hold what they must.
        SettingError: If there are not so many examples to show.
        ConfigurationError: If ``chat`` is asked for without a chat template, or its template begins a thought.
    """
    spec = dataset_spec(name)
    shown, evaluated = _read(spec, source, shots)
    if screening:
        evaluated = keep_back(name, evaluated, screening)[1]
    examples = select(evaluated, limit, evaluation_key(name, seed))
    return _ask(spec, examples, prompt, ShotPicker(spec, shown, shots, seed), chat, tokenizer)


@checked
def load_screening_items(
    name: str,
    *,
    items: Count = 100,
    prompt: str | None = ALL_PROMPTS,
    source: Source = "auto",
    shots: Amount = 0,
    chat: bool | ChatSettings = False,
    tokenizer: PreTrainedTokenizerBase | None = None,
) -> list[Item]:
    """Load the items that say what a dense model can do, and in which wording; they are for nothing else.

    Whole documents from the end of the order in which items are evaluated, at most a fifth of them
    (:func:`semprune.data.rows.splits.keep_back`). :func:`load_items` with ``screening`` leaves them out. No fit and no
    calibration reads them, since they are of the evaluated side.

    Args:
        name: Name of the data set.
        items: How many.
        prompt: See :func:`load_items`.
        source: See :func:`load_items`.
        shots: See :func:`load_items`.
        chat: See :func:`load_items`.
        tokenizer: See :func:`load_items`.

    Returns:
        The items of one prompt after another.

    Raises:
        SettingError: If the data set has too few documents to keep any back.
        UnknownDatasetError: If there is no such data set.
        UnknownPromptError: If it has no such prompt.
        DatasetUnavailableError: If its rows cannot be had.
        DatasetSchemaError: If its rows do not hold what they must.
    """
    spec = dataset_spec(name)
    shown, evaluated = _read(spec, source, shots)
    examples = keep_back(name, evaluated, items)[0]
    if not examples:
        raise SettingError("screening", items, f"null for '{name}', whose documents are too few or too large for it")
    return _ask(spec, examples, prompt, ShotPicker(spec, shown, shots, 0), chat, tokenizer)


@checked
def load_fitting_items(
    name: str,
    *,
    limit: Limit = None,
    seed: Seed = 0,
    prompt: str | None = None,
    source: Source = "auto",
    validation_share: PartOrNone = 0.25,
) -> list[Item]:
    """Load items of the documents that fits learn from: never evaluated, and not those that a fit holds out.

    With a fit's ``limit``, ``seed`` and ``validation_share`` they are of the documents that it trains on.

    Args:
        name: Name of a data set that reserves documents for fitting.
        limit: Texts read, held-out ones among them; None for all.
        seed: Which documents a limit selects.
        prompt: See :func:`load_items`.
        source: See :func:`load_items`.
        validation_share: Share of documents that the fit holds out.

    Returns:
        The items of one prompt after another.

    Raises:
        UnknownDatasetError: If there is no such data set.
        UnknownPromptError: If it has no such prompt.
        DatasetUnavailableError: If its rows cannot be had.
        DatasetSchemaError: If its rows do not hold what they must.
    """
    spec = dataset_spec(name)
    every = read_split(spec, "fit", source)
    places = held_out_places(name, ((example.document_id, example.class_name(spec)) for example in every))
    chosen = select(every, limit, _document_key(name, seed))
    trained = [example for example in chosen if places[example.document_id] >= validation_share]
    return _ask(spec, trained, prompt, ShotPicker(spec, [], 0, seed), False, None)


def _document_key(name: str, seed: int) -> Callable[[Example], str]:
    return lambda example: document_key(name, seed, example.document_id)


def _read(spec: DatasetSpec, source: Source, shots: int) -> tuple[list[Example], list[Example]]:
    return read_shots(spec, source) if shots else ([], read_split(spec, "evaluation", source))


def _ask(
    spec: DatasetSpec,
    examples: Sequence[Example],
    prompt: str | None,
    picker: ShotPicker,
    chat: bool | ChatSettings,
    tokenizer: PreTrainedTokenizerBase | None,
) -> list[Item]:
    speaker = check_chat_template(tokenizer, chat) if chat else None
    prompts = find_prompts(spec, prompt)
    items = [render(spec, example, chosen, picker(example)) for chosen in prompts for example in examples]
    return items if speaker is None else [as_chat(speaker, item, chat) for item in items]


@checked
def load_documents(
    name: str, *, split: Split = "fit", limit: Limit = None, seed: Seed = 0, source: Source = "auto"
) -> list[Document]:
    """Load a data set's texts, whole documents together.

    Args:
        name: Name of the data set.
        split: ``fit`` (reserved for fitting and calibration) or ``evaluation``.
        limit: Number of texts; None for all. A larger limit adds texts and removes none.
        seed: Which documents a limit selects.
        source: Where rows come from, see :mod:`semprune.data.rows.sources`.

    Returns:
        The texts. Texts of one document follow each other and share its ``document_id``.

    Raises:
        UnknownDatasetError: If there is no such data set.
        DatasetUnavailableError: If its rows cannot be had.
        DatasetSchemaError: If its rows do not hold what they must.
    """
    spec = dataset_spec(name)
    return [
        Document(name, example.document_id, example.text(spec), example.class_name(spec))
        for example in select(read_split(spec, split, source), limit, _document_key(name, seed))
    ]
