"""Where gates are learned from: items of the fitted documents in all their wordings, and text to leave alone."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence

import torch
from jaxtyping import Int
from torch import Tensor

from semprune.attribution.gates.tasks import ClassTask
from semprune.attribution.gates.words import WordTask
from semprune.backbones import Backbone
from semprune.concepts import Concept, TokenLabeller
from semprune.data import CalibrationDataModule, dataset_spec
from semprune.data.batches.special_tokens import encode, window_prefix
from semprune.data.calibration.windows import behind_prefix, draw_windows
from semprune.data.load import load_fitting_items
from semprune.data.prompts.render import ALL_PROMPTS
from semprune.data.rows.sources import Source
from semprune.errors import SettingError
from semprune.types import Document

GENERAL = "c4"
"""General text, as pruning papers take it."""
MOST_WINDOWS = 256
"""Windows with words of a concept that the dense model reads to find those that it expects (ours)."""


def class_tasks(
    lm: Backbone,
    concepts: Sequence[str],
    *,
    limit: int | None = None,
    seed: int = 0,
    source: Source = "auto",
    validation_share: float = 0.25,
    prompt: str | None = ALL_PROMPTS,
) -> dict[str, ClassTask]:
    """Tasks of classes of data sets, from documents that are fitted on.

    Args:
        lm: Whose tokenizer.
        concepts: Names ``dataset.class``. Of a data set with two classes either one is the order of both.
        limit: Texts read of each data set, held-out ones among them; None for all.
        seed: Which documents a limit selects.
        source: Where rows come from.
        validation_share: Share of documents that the fit holds out.
        prompt: Wordings; all by default: gates of one wording may be gates of its words.

    Raises:
        SettingError: A name is no class of a data set.
        UnknownDatasetError: There is no such data set.
        TooFewItemsError: Too few items of a class.
    """
    tasks = {}
    for concept in concepts:
        dataset, _, label = concept.rpartition(".")
        classes = dataset_spec(dataset).labels.classes
        if label not in classes:
            names = ", ".join(f"{dataset}.{each}" for each in classes)
            raise SettingError("gates.concepts", concept, f"classes of data sets, as in {names or 'sst2.positive'}")
        items = load_fitting_items(
            dataset, limit=limit, seed=seed, prompt=prompt, source=source, validation_share=validation_share
        )
        tasks[concept] = ClassTask(lm, concept, items, list(classes).index(label))
    return tasks


def word_tasks(
    lm: Backbone, concepts: Sequence[Concept], documents: Iterable[Document], length: int = 64, seed: int = 0
) -> dict[str, WordTask]:
    """Tasks of concepts of words, from running text.

    Args:
        lm: Whose tokenizer, and who reads the windows that hold words of a concept, :data:`MOST_WINDOWS` at most.
        concepts: The concepts.
        documents: Texts, joined.
        length: Tokens of a window, special tokens included.
        seed: Which windows.

    Raises:
        TooFewWordsError: The texts hold too few words of a concept that the dense model expects.
        EmptyCalibrationError: There is too little text for one window.
    """
    if not concepts:
        return {}
    text = domain_text(lm, documents, sys.maxsize, length, seed)
    labels = TokenLabeller(concepts, lm.tokenizer)(text, torch.ones_like(text))
    tasks = {}
    for column, concept in enumerate(concepts):
        some = labels[..., column].any(1).nonzero()[:MOST_WINDOWS, 0]
        tasks[concept.name] = WordTask(lm, concept.name, labels[some, :, column], text[some])
    return tasks


def gate_texts(
    lm: Backbone, documents: Iterable[Document], windows: int, length: int, seed: int = 0
) -> list[Int[Tensor, "windows tokens"]]:
    """General text and documents of the tasks' own domain, in windows of one length.

    Args:
        lm: Whose tokenizer.
        documents: Texts of the domain, joined; a window that is not full is left out.
        windows: Most windows of each.
        length: Tokens of a window, special tokens included.
        seed: Which windows.

    Raises:
        EmptyCalibrationError: There is too little text for one window.
        SettingError: The model cannot read so long a window.
    """
    return [general_text(lm, windows, length, seed), domain_text(lm, documents, windows, length, seed)]


def domain_text(
    lm: Backbone, documents: Iterable[Document], windows: int, length: int, seed: int = 0
) -> Int[Tensor, "windows tokens"]:
    """Documents of a domain, joined and cut into windows; one that is not full is left out.

    Raises:
        EmptyCalibrationError: There is too little text for one window.
    """
    prefix = window_prefix(lm.tokenizer, None)
    tokens = encode(lm.tokenizer, "\n\n".join(document.text for document in documents), special=False)
    own = length - len(prefix)
    count = max(min(windows, len(tokens) // own), 1)
    return behind_prefix(prefix, draw_windows(tokens, count, own, seed, calibration="documents"))


def general_text(lm: Backbone, windows: int, length: int, seed: int = 0) -> Int[Tensor, "windows tokens"]:
    """Windows of :data:`GENERAL`."""
    return CalibrationDataModule(GENERAL, windows, length, seed).bind(lm).calibration_input_ids()
