"""Concepts by name, over every vocabulary that is found in ``concepts/sources``."""

from __future__ import annotations

import pkgutil
from collections.abc import Sequence
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Final

import semprune.concepts.sources
from semprune.concepts.concept import Concept, Vocabulary
from semprune.concepts.sources.own import FILE_SUFFIX, read_vocabulary
from semprune.errors import SettingError, UnknownConceptError, VocabularySchemaError

DEFAULT: Final = "default"
DEFAULT_CONCEPTS: Final = (
    "sentiment.negative",
    "sentiment.positive",
    "empath.animal",
    "empath.business",
    "empath.cooking",
    "empath.crime",
    "empath.family",
    "empath.health",
    "empath.music",
    "empath.politics",
    "empath.sports",
    "empath.technology",
    "empath.tool",
    "empath.weather",
    "language.comparison",
    "language.first_person",
    "language.hedging",
    "language.negation",
    "language.numbers",
    "language.question_words",
    "language.time",
)
"""The set called ``default``. Ours: both sentiments; topics of reviews (music, family), news (business, politics,
sports, technology, crime, health, weather) and commonsense reasoning (tool, cooking, animal); and the function words
that reasoning and paraphrase turn on."""


@cache
def vocabularies() -> dict[str, Vocabulary]:
    """Every concept's name with the vocabulary that offers it.

    Raises:
        VocabularySchemaError: If two vocabularies offer one name.
    """
    owner: dict[str, Vocabulary] = {}
    for source, vocabulary in sources().items():
        for name in vocabulary.names():
            if name in owner:
                raise VocabularySchemaError(source, f"'{name}' is offered twice", "Rename one of them.")
            owner[name] = vocabulary
    return owner


@cache
def sources() -> dict[str, Vocabulary]:
    """Every source of concepts by the name of its file, whether its words are at hand or not."""
    package = semprune.concepts.sources
    modules = [module.name for module in pkgutil.iter_modules(package.__path__)]
    return {name: import_module(f"{package.__name__}.{name}").VOCABULARY for name in modules}


def concept_names() -> tuple[str, ...]:
    """Names of all concepts, sorted.

    Example:
        >>> {"sentiment.positive", "empath.violence", "language.negation"} <= set(concept_names())
        True
    """
    return tuple(sorted(vocabularies()))


def load_concepts(names: Sequence[str]) -> tuple[Concept, ...]:
    """Concepts by their exact names, in the order asked for; each once.

    Args:
        names: Names from :func:`concept_names`, or paths of YAML files, each with one concept of your own, or of
            folders of such files, with a slash at the end; ``default`` stands for :data:`DEFAULT_CONCEPTS`.

    Returns:
        One concept per distinct name; empty for no names. No two of them have one name.

    Raises:
        UnknownConceptError: If a name is neither a concept, a file nor ``default``.
        VocabularySchemaError: If a file is missing or does not hold a concept, or its concept has the name of another
            one, asked for or not: what is measured of both could not be told apart.
        AssetLicenceError: If the concept is in a package whose non-commercial licence was not accepted.
        SettingError: If a bare string is passed for the list.

    Example:
        >>> [concept.name for concept in load_concepts(["language.negation", "default"])][:2]
        ['language.negation', 'sentiment.negative']
    """
    if isinstance(names, str):
        raise SettingError("concepts", names, f"a list of names, for example [{names}]")
    wanted = dict.fromkeys(full for name in names for full in _expanded(name))
    concepts = {name: _load(name) for name in wanted}
    source: dict[str, str] = {}
    for asked, concept in concepts.items():
        if source.setdefault(concept.name, asked) != asked:
            raise VocabularySchemaError(
                concept.name, f"both {source[concept.name]} and {asked} are called so", "Rename one of them."
            )
    return tuple(concepts.values())


def _expanded(name: str) -> tuple[str, ...]:
    """The names that one entry stands for."""
    if name == DEFAULT:
        return DEFAULT_CONCEPTS
    if not name.endswith("/"):
        return (name,)
    files = tuple(str(path) for path in sorted(Path(name).glob(f"*{FILE_SUFFIX}")))
    if not files:
        raise VocabularySchemaError(name, f"the folder holds no *{FILE_SUFFIX}", "Pass a folder of concept files.")
    return files


def _load(name: str) -> Concept:
    if name.endswith(FILE_SUFFIX):
        own = read_vocabulary(Path(name))
        if own.name in vocabularies():
            detail = f"{name} has the name of a concept that semprune offers"
            raise VocabularySchemaError(own.name, detail, "Rename the file, and `name` in it.")
        return own
    if name not in vocabularies():
        for vocabulary in sources().values():
            if vocabulary.prefix is not None and name.startswith(vocabulary.prefix):
                vocabulary.require()  # of a package that is not at hand no name is known yet
                vocabularies.cache_clear()
    if name not in vocabularies():
        raise UnknownConceptError(name, [DEFAULT, *vocabularies()])
    return vocabularies()[name].load(name)
