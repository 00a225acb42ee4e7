"""What a source of concepts offers."""

from __future__ import annotations

from typing import Protocol

from semprune.concepts.concept import Concept


class Vocabulary(Protocol):
    """Concepts of one origin; a module in ``concepts/sources`` offers one as ``VOCABULARY``.

    Attributes:
        about: One line on what it holds.
        source: Where the words come from.
        licence: SPDX identifier of the words' licence.
    """

    about: str
    source: str
    licence: str

    def names(self) -> tuple[str, ...]:
        """Names of the concepts it offers."""
        ...

    def load(self, name: str) -> Concept:
        """The concept of one of those names."""
        ...
