"""A concept (a name and the evidence for it in a text), and what a source of concepts offers."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Protocol

from semprune.errors import VocabularySchemaError
from semprune.errors.base import shortly, some_of

TOKEN_LEVEL: Final = "token"
MOST_LETTERS: Final = 100
"""Of a word or phrase: Pliny's Latin for a lung disease has 45."""
_WORD: Final = re.compile(r"[^\W_](?:.*[^\W_])?")


@dataclass(frozen=True, slots=True)
class Concept:
    """A named set of token-level evidence.

    Attributes:
        name: ``<vocabulary>.<concept>``, for example ``sentiment.negative``.
        words: Lower-case words or phrases (single spaces inside), each starting and ending with a letter or digit.
        token_pattern: Regular expression that a token's whole surface, without its spaces, must match; for evidence
            that is no word (digits, punctuation). None where the words say it all.
        level: ``token``: evidence sits at single tokens, for a word or phrase at its last one.

    Raises:
        VocabularySchemaError: If there is no evidence, or a word could never match.

    Example:
        >>> Concept("language.negation", ("not", "no longer")).words
        ('not', 'no longer')
        >>> Concept("language.negation", ("Not",))
        Traceback (most recent call last):
        ...
        semprune.errors.VocabularySchemaError: vocabulary 'language.negation': words are not in lower case: 'Not'. \
Write each word in lower case; its other casings are matched as well.
    """

    name: str
    words: tuple[str, ...]
    token_pattern: str | None = None
    level: str = TOKEN_LEVEL

    def __post_init__(self) -> None:
        """Refuse evidence that could never match."""
        if not self.words and self.token_pattern is None:
            raise VocabularySchemaError(self.name, "has neither words nor a token pattern", "Give it at least one.")
        self._refuse(
            [word for word in self.words if word != word.lower()],
            "words are not in lower case",
            "Write each word in lower case; its other casings are matched as well.",
        )
        self._refuse(
            [word for word in self.words if not _WORD.fullmatch(word) or word.split(" ") != word.split()],
            "words do not start and end with a letter or digit, or hold more than single spaces",
            "Write what stands between spaces or punctuation in a text.",
        )
        self._refuse(
            [word for word in self.words if len(word) > MOST_LETTERS],
            f"words have more than {MOST_LETTERS} characters",
            "Write words and short phrases; texts are data sets.",
        )
        try:
            re.compile(self.token_pattern or "")
        except re.error as error:
            raise VocabularySchemaError(
                self.name, f"token_pattern is not a regular expression: {error}", "Correct it."
            ) from error

    def _refuse(self, words: list[str], detail: str, remedy: str) -> None:
        if words:
            raise VocabularySchemaError(self.name, f"{detail}: {some_of(map(shortly, words), 6)}", remedy)


class Vocabulary(Protocol):
    """Concepts of one origin; a module in ``concepts/sources`` offers one as ``VOCABULARY``.

    Attributes:
        about: One line on what it holds.
        source: Where the words come from.
        licence: SPDX identifier of the words' licence, or what it is called where there is none.
        prefix: What all its concepts' names begin with; None where they have nothing in common.
        non_commercial: Whether the words must not serve a commercial use.
    """

    about: str
    source: str
    licence: str
    prefix: str | None = None
    non_commercial: bool = False

    def words(self) -> Mapping[str, tuple[str, ...]]:
        """Words of each concept by its name without the prefix; none where they are not at hand."""
        ...

    def names(self) -> tuple[str, ...]:
        """Names of the concepts it offers; none where its words are not at hand."""
        return tuple(f"{self.prefix or ''}{name}" for name in self.words())

    def load(self, name: str) -> Concept:
        """The concept of one of those names."""
        self.require()
        return Concept(name, self.words()[name.removeprefix(self.prefix or "")])

    def require(self) -> None:
        """Raise an error with its remedy where the words are not at hand; nothing to do where they always are."""
        return
