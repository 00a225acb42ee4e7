"""Sentiment words of the VADER lexicon, each put by ten raters on a scale of -4 to 4."""

from __future__ import annotations

from importlib.resources import files
from typing import Final

from semprune.concepts.concept import Vocabulary

MINIMUM_VALENCE: Final = 1.6
"""Smallest |mean valence| of a sentiment word.

Ours: the mean must round to "moderately" (2) or stronger. The bound lies just above 1.5 because of two frequent words
that seldom carry sentiment in running text: "like" (1.5, mostly a preposition) and "no" (-1.2, a negation).
"""


def read_lexicon() -> dict[str, float]:
    """Mean valence of each purely alphabetic entry, in the lexicon's order.

    Source: Hutto and Gilbert, VADER (ICWSM 2014); ``vader_lexicon.txt`` of the vaderSentiment package, read as data.

    Returns:
        Lower-case word to mean valence in [-4, 4].

    Example:
        >>> read_lexicon()["terrible"]
        -2.1
    """
    text = files("vaderSentiment").joinpath("vader_lexicon.txt").read_text(encoding="utf-8")
    entries = (line.split("\t") for line in text.splitlines() if line.strip())
    return {entry[0].lower(): float(entry[1]) for entry in entries if entry[0].isascii() and entry[0].isalpha()}


class VaderVocabulary(Vocabulary):
    """The concepts ``sentiment.positive`` and ``sentiment.negative``."""

    about = "Words that raters found at least moderately positive or negative."
    source = "VADER sentiment lexicon, package vaderSentiment"
    licence = "MIT"
    prefix = "sentiment."

    def words(self) -> dict[str, tuple[str, ...]]:
        """Words whose mean valence is at least :data:`MINIMUM_VALENCE` in one direction."""
        valences = read_lexicon().items()
        return {
            name: tuple(word for word, valence in valences if sign * valence >= MINIMUM_VALENCE)
            for name, sign in (("negative", -1), ("positive", 1))
        }


VOCABULARY = VaderVocabulary()
