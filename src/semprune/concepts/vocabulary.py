"""What a source of concepts offers."""

from __future__ import annotations

from typing import Protocol

from semprune.concepts.concept import Concept


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

    def names(self) -> tuple[str, ...]:
        """Names of the concepts it offers; none where its words are not at hand."""
        ...

    def load(self, name: str) -> Concept:
        """The concept of one of those names."""
        ...

    def require(self) -> None:
        """Raise an error with its remedy where the words are not at hand; nothing to do where they always are."""
        return
