"""Our own vocabularies: one YAML file per concept in ``concepts/vocabularies``."""

from __future__ import annotations

from collections import Counter
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

import yaml

from semprune.concepts.concept import Concept, Vocabulary
from semprune.errors import VocabularySchemaError
from semprune.errors.base import shortly, some_of, what_it_says
from semprune.io.yaml_text import read_yaml

FILE_SUFFIX: Final = ".yaml"
_REQUIRED: Final = {"name", "about", "source", "licence"}
_EVIDENCE: Final = {"words", "token_pattern"}


def parse_vocabulary(stem: str, text: str) -> Concept:
    """The concept that a YAML file declares.

    Args:
        stem: The file's name without ``.yaml``; must equal the declared ``name``.
        text: Content: ``name``, ``about``, ``source``, ``licence``, and ``words`` or ``token_pattern`` or both.

    Returns:
        The concept.

    Raises:
        VocabularySchemaError: If keys are missing, unknown or of the wrong type, or a word is repeated.

    Example:
        >>> parse_vocabulary("a.b", "{name: a.b, about: x, source: ours, licence: CC0-1.0, words: [never]}")
        Concept(name='a.b', words=('never',), token_pattern=None, level='token')
    """
    raw = _read_mapping(stem, text)
    unknown, missing = sorted(set(raw) - _REQUIRED - _EVIDENCE), sorted(_REQUIRED - set(raw))
    if unknown or missing:
        detail = f"unknown keys: {unknown}, missing keys: {missing}"
        raise VocabularySchemaError(stem, detail, f"Keys are {sorted(_REQUIRED)} and {sorted(_EVIDENCE)}.")
    if raw["name"] != stem:
        raise VocabularySchemaError(stem, f"name is {raw['name']!r}", "Name it like its file.")
    words = raw.get("words", [])
    texts = [*(words if isinstance(words, list) else [words]), *(raw[key] for key in raw if key != "words")]
    if not isinstance(words, list) or not all(isinstance(entry, str) for entry in texts):
        raise VocabularySchemaError(
            stem, "words must be a list of texts, and every other value a text", "Quote no, yes, on, off and numbers."
        )
    repeated = sorted(word for word, count in Counter(words).items() if count > 1)
    if repeated:
        raise VocabularySchemaError(
            stem, f"words are repeated: [{some_of(map(shortly, repeated), 6)}]", "Write each word once."
        )
    return Concept(stem, tuple(words), raw.get("token_pattern"))


def _read_mapping(stem: str, text: str) -> dict[str, Any]:
    try:
        raw = read_yaml(text)
    except yaml.YAMLError as error:
        raise VocabularySchemaError(stem, f"not YAML: {error}", "Correct the file.") from error
    if not isinstance(raw, dict):
        raise VocabularySchemaError(stem, "not a mapping", "Write `key: value` lines.")
    return raw


def read_vocabulary(path: Path) -> Concept:
    """The concept that a YAML file of the user's declares; its name is the file's, without ``.yaml``.

    Raises:
        VocabularySchemaError: There is no such file, or it does not hold a concept.
    """
    if not path.is_file():
        raise VocabularySchemaError(path.stem, f"there is no file {path}", "Check the path.")
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise VocabularySchemaError(
            path.stem, f"{path} cannot be read ({what_it_says(error)})", "Save it as UTF-8."
        ) from error
    return parse_vocabulary(path.name.removesuffix(FILE_SUFFIX), text)


class OwnVocabulary(Vocabulary):
    """Every ``vocabularies/<name>.yaml`` as the concept ``<name>``."""

    about = "Function words and marks: negation, hedging, numbers, questions, persons, time, comparison, code."
    source = "ours"
    licence = "Apache-2.0"

    def words(self) -> dict[str, tuple[str, ...]]:
        """The words of every file."""
        return {name: self.load(name).words for name in self.names()}

    def names(self) -> tuple[str, ...]:
        """The names of the files."""
        found = files("semprune.concepts").joinpath("vocabularies").iterdir()
        return tuple(sorted(path.name.removesuffix(".yaml") for path in found if path.name.endswith(".yaml")))

    def load(self, name: str) -> Concept:
        """The concept of one file."""
        path = files("semprune.concepts").joinpath("vocabularies", f"{name}.yaml")
        return parse_vocabulary(name, path.read_text(encoding="utf-8"))


VOCABULARY = OwnVocabulary()
