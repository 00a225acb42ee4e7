"""What is to be kept as words in running text: a concept, a list of words of one's own, or a text."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Int
from torch import Tensor

from semprune.backbones.blocks.runner import split_batches
from semprune.concepts.concept import Concept
from semprune.concepts.registry import load_concepts
from semprune.concepts.sources.own import FILE_SUFFIX
from semprune.concepts.tokens.labeller import TokenLabeller
from semprune.data.batches.special_tokens import encode, window_prefix
from semprune.data.calibration.text import calibration_text
from semprune.data.calibration.windows import behind_prefix
from semprune.data.registry import calibration_spec
from semprune.errors import ConfigurationError, SettingError
from semprune.errors.base import some_of, what_it_says
from semprune.pruning.guidance.protected_text import ScoredBatch
from semprune.pruning.guidance.protection import Protection
from semprune.pruning.guidance.scores import word_places, words_logprob

logger = logging.getLogger(__name__)

TEXT = "text:"
"""What the name of a file of plain text begins with; without it, a file is a list of words."""
WORDS_SUFFIX = ".txt"
SOURCES = ("c4", "tiny")
"""Calibration sets in which words are looked for: web pages and stories, never the text of the perplexity (ours)."""
WINDOW = 64
"""Tokens of a window of text (ours)."""
BATCH = 16
"""Windows that are scored together: as many tokens as of items."""
LEAST_WINDOWS = 8
"""Fewer windows than this say nothing about a meaning (ours)."""


def is_worded(name: str) -> bool:
    """Whether a name is that of a text or a list of words; concepts have names of their own."""
    return name.startswith(TEXT) or name.lower().endswith((FILE_SUFFIX, WORDS_SUFFIX))


def worded_text(name: str, asked: Protection, tokenizer: Any) -> tuple[ScoredBatch, ...]:
    """Return the batches of what is named by words.

    Raises:
        SettingError: The words hardly occur in the texts that they are looked for in, or a text is too short.
        SempruneError: The words or texts cannot be had or read.
    """
    if name.startswith(TEXT):
        windows = _windows(_read(Path(name.removeprefix(TEXT))), tokenizer)
        counted = torch.ones_like(windows, dtype=torch.bool)
    else:
        concept = word_list(Path(name)) if name.lower().endswith(WORDS_SUFFIX) else load_concepts([name])[0]
        windows = torch.cat([_windows(calibration_text(calibration_spec(each)), tokenizer) for each in SOURCES])
        labeller = TokenLabeller([concept], tokenizer)
        counted = labeller(windows)[..., 0]
        if is_worded(name):
            _tell_unfound(name, concept, labeller.skipped.get(concept.name, ()), windows, tokenizer)
    counted[:, : 1 + len(window_prefix(tokenizer))] = False
    return tuple(_batches(windows, counted, name, asked))


def _tell_unfound(
    name: str, concept: Concept, unwritten: Sequence[str], windows: Int[Tensor, "windows tokens"], tokenizer: Any
) -> None:
    """Warn of the words of one's own that the text never has: nothing keeps these.

    Args:
        name: Of their file.
        concept: The words.
        unwritten: Those that the tokenizer cannot write.
        windows: The text.
        tokenizer: Its tokenizer.
    """
    each = [Concept(word, (word,)) for word in concept.words if word not in unwritten]
    seen = TokenLabeller(each, tokenizer)(windows).flatten(0, 1).any(0).tolist() if each else []
    found = {word.name for word, there in zip(each, seen, strict=True) if there}
    if unfound := [word for word in concept.words if word not in found]:
        said = f"nothing keeps {some_of(unfound)}"
        logger.warning(f"{name}: {said}, of which there is none in the text that words are looked for in")


def word_list(path: Path) -> Concept:
    """Read a list of words or short phrases, one a line; empty lines do not count.

    Raises:
        ConfigurationError: The file cannot be read.
        VocabularySchemaError: A line is no word, or there is none.
    """
    lines = (line.strip().lower() for line in _read(path).splitlines())
    return Concept(path.stem, tuple(dict.fromkeys(line for line in lines if line)))


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path} cannot be read ({what_it_says(error)}). Save it as text in UTF-8.") from error


def _windows(text: str, tokenizer: Any) -> Int[Tensor, "windows tokens"]:
    prefix = window_prefix(tokenizer)
    own = WINDOW - len(prefix)
    tokens = encode(tokenizer, text, special=False)
    cut = torch.tensor(tokens[: len(tokens) // own * own], dtype=torch.long).reshape(-1, own)
    return behind_prefix(prefix, cut)


def _batches(
    windows: Int[Tensor, "windows tokens"], counted: Bool[Tensor, "windows tokens"], name: str, asked: Protection
) -> Iterator[ScoredBatch]:
    """Windows with a word that counts, drawn by the seed."""
    with_words = counted.any(-1).nonzero()[:, 0]
    if len(with_words) < LEAST_WINDOWS:
        found = f"{len(with_words)} windows of {WINDOW} tokens do"
        if name.startswith(TEXT):
            allowed = f"a text of {LEAST_WINDOWS} windows of {WINDOW} tokens or more (there are {len(windows)})"
            raise SettingError("protect", name, allowed)
        allowed = f"words that occur in {LEAST_WINDOWS} windows of the text or more ({found})"
        raise SettingError("protect", name, f"{allowed}; name more words, or pass text or items of your own")
    drawn = np.random.default_rng(asked.seed).permutation(len(with_words))[: asked.items]
    chosen = with_words[torch.from_numpy(drawn)]
    for batch in split_batches(len(chosen), BATCH):
        ids, words = windows[chosen[batch]], counted[chosen[batch]]
        score = partial(words_logprob, input_ids=ids, counted=words)
        yield ScoredBatch(ids, torch.ones_like(ids), word_places(words), score, ids[words], int(words.sum()))
