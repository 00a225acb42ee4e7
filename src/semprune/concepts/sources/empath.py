"""The 194 topics of Empath, read as data (importing the package would pull in its web client)."""

from __future__ import annotations

from functools import cache
from importlib.util import find_spec
from pathlib import Path

from semprune.concepts.concept import Vocabulary
from semprune.errors import VocabularySchemaError


@cache
def read_topics() -> dict[str, tuple[str, ...]]:
    """Words of each topic, lower-case, without repetitions, in the file's order.

    An underscore joins the words of a phrase in the file and is a space here. Entries that do not start and end with
    a letter or digit (``a.m.``, ``.45``, ``year-``) are left out: no word boundary can be told for them.

    Source: Fast, Chen and Bernstein, Empath (CHI 2016); ``categories.tsv`` of the empath package.

    Returns:
        Topic to its words.

    Raises:
        VocabularySchemaError: If the package or its file is not there.
    """
    spec = find_spec("empath")
    path = Path(spec.origin).parent / "data" / "categories.tsv" if spec and spec.origin else None
    if path is None or not path.is_file():
        raise VocabularySchemaError("empath", "its categories.tsv is missing", "Run `pip install empath==0.89`.")
    rows = [line.split("\t") for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    return {topic.strip(): _clean(entries) for topic, *entries in rows}


def _clean(entries: list[str]) -> tuple[str, ...]:
    words = (entry.strip().lower().replace("_", " ") for entry in entries)
    return tuple(dict.fromkeys(word for word in words if word and word[0].isalnum() and word[-1].isalnum()))


class EmpathVocabulary(Vocabulary):
    """Every topic as ``empath.<topic>``."""

    about = "194 topics with 15 to 169 words each, grown from fiction by word embeddings and checked by people."
    source = "Empath, package empath"
    licence = "MIT"
    prefix = "empath."

    def words(self) -> dict[str, tuple[str, ...]]:
        """All topics."""
        return read_topics()


VOCABULARY = EmpathVocabulary()
