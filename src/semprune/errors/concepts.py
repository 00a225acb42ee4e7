"""Concepts and vocabularies."""

from __future__ import annotations

from semprune.errors.base import SempruneError, UnknownNameError


class UnknownConceptError(UnknownNameError):
    """No such concept or vocabulary."""

    kind = "concept"
    remedy = " `semprune.concepts.registry.concept_names()` lists them all."


class VocabularySchemaError(SempruneError):
    """A concept vocabulary whose file does not hold what it must."""

    def __init__(self, vocabulary: str, detail: str, remedy: str) -> None:
        """Name the vocabulary, what is wrong and what to do."""
        super().__init__(f"vocabulary '{vocabulary}': {detail}. {remedy}")


class UnencodableConceptError(SempruneError):
    """A concept none of whose words the tokenizer can write."""

    def __init__(self, concept: str, words: int) -> None:
        """Name the concept and how many words were tried."""
        super().__init__(
            f"concept '{concept}': the tokenizer can write none of its {words} words. "
            "Leave the concept out for this backbone, or give it words in the tokenizer's script."
        )
