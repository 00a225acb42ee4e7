"""The association and its concepts: fitting, asking, vocabularies."""

from __future__ import annotations

from collections.abc import Iterable

from semprune.errors.base import ConfigurationError, SempruneError, UnknownNameError


class UnknownNeuronError(UnknownNameError):
    """No such neuron in the association."""

    kind = "neuron"
    most = shown = 3  # thousands of names that differ by a number say nothing
    remedy = " A neuron is named by its site and index, as in layers.15.mlp/219."


class PrecisionError(SempruneError):
    """A trainer precision that would cast the association to half precision."""

    def __init__(self, got: str) -> None:
        """Name the precision."""
        super().__init__(
            f"trainer precision '{got}' casts the association matrix to half precision, where small updates vanish. "
            "Leave --trainer.precision at 32-true and set --backbone.dtype bfloat16 for the frozen model."
        )


class ConceptWithoutEvidenceError(SempruneError):
    """A concept that never occurs (or always occurs) in the fitting documents."""

    def __init__(self, concepts: Iterable[str], observations: int) -> None:
        """List the concepts."""
        super().__init__(
            f"no usable evidence in {observations} observations for: {', '.join(concepts)}. "
            "Add documents that hold them, or leave these concepts out."
        )


class TooFewDiscoveriesError(ConfigurationError):
    """Fewer neurons are discoveries than are to be ablated."""

    def __init__(self, found: int, asked: int, concepts: Iterable[str]) -> None:
        """Say how many there are, of which concepts, and how many were asked for."""
        super().__init__(
            f"only {found} neurons are discoveries for {', '.join(concepts)}, {asked} were asked for. "
            "Fit on more documents, or ablate a smaller share."
        )


class NoDiscoveryError(SempruneError):
    """A fit in which no neuron is a discovery for any concept."""

    def __init__(self, concepts: int, documents: int) -> None:
        """Say of how many concepts and documents it is."""
        super().__init__(
            f"no neuron is a discovery for any of the {concepts} concepts: {documents} fitted documents hold too "
            "little evidence. Raise the fit's `limit`, or add data sets to its `datasets`."
        )


class TooFewItemsError(SempruneError):
    """Too few labelled items of a class, or of all others, to learn its gates from."""

    def __init__(self, concept: str, inside: int, others: int, least: int) -> None:
        """Name the class, how many items it and all others have, and how many it takes."""
        super().__init__(
            f"gates of '{concept}' take {least} items of the class and {least} others in every wording, and there are "
            f"{inside} and {others}. Raise `limit`, or leave the class out."
        )


class TooFewWordsError(SempruneError):
    """Too few words of a concept, or others, where a model expects them, to learn its gates from."""

    def __init__(self, concept: str, own: int, others: int, least: int, tokens: int) -> None:
        """Name the concept, how many places it and other words have, and in how much text."""
        super().__init__(
            f"gates of '{concept}' take {least} of its words where the dense model expects them, and as many others, "
            f"and {tokens} tokens of text with its words hold {own} and {others}. Give more documents (`limit`) that "
            "hold its words, or leave the concept out."
        )


class UnknownToTheModelError(SempruneError):
    """A concept that the dense model does not have, so that gates cannot take it away."""

    def __init__(self, concept: str, auroc: float, low: float, items: int) -> None:
        """Name the concept and what the dense model's AUROC is."""
        super().__init__(
            f"the dense model does not know '{concept}': its AUROC over {items} items is {auroc:.3f}, and the lower "
            f"end of its 95 % interval, {low:.3f}, is not above 0.5. Leave the concept out, or word its prompts anew."
        )


class NoGatesError(SempruneError):
    """Causal gates of a concept that an association was fitted without."""

    def __init__(self, concept: str, learned: Iterable[str]) -> None:
        """Name the concept and those whose gates were learned."""
        known = ", ".join(learned) or "none"
        super().__init__(
            f"no gates were learned for '{concept}'; learned: {known}. Name it in `model.gates` of "
            "`semprune fit`, or rank by something else."
        )


class FittedDocumentError(SempruneError):
    """Documents that an association was fitted on, where held-out ones are read."""

    def __init__(self, fitted: int, documents: int, example: str, validation_share: float) -> None:
        """Say how many of the documents were fitted, name one of them, and what share the fit held out."""
        super().__init__(
            f"{fitted} of {documents} documents to read as held out were fitted on, '{example}' among them: what is "
            f"found there is not held out. The fit held out validation_share {validation_share:g}: pass that, or less. "
            "A fit of before held-out documents were stratified held out others: fit again."
        )


class TooFewDocumentsError(SempruneError):
    """Fewer documents than a resampling method needs."""

    def __init__(self, method: str, needed: str, got: int) -> None:
        """Name the method, what it needs and what there is."""
        super().__init__(
            f"{method} needs {needed}, and there are only {got} documents. "
            "Raise `limit`, add data sets, or ask for fewer permutations."
        )


class UnknownConceptError(UnknownNameError):
    """No such concept or vocabulary."""

    kind = "concept"
    remedy = " `semprune.concepts.registry.concept_names()` lists them all."


class UnknownGateError(UnknownConceptError):
    """A concept whose gates are to be learned in a fit that does not hold it."""

    kind = "concept of `model.gates`"
    remedy = " Name classes of the fit's data sets or concepts of `model.concepts`, or pass `--model.gates null`."


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
