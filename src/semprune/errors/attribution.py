"""The association: fitting it and asking it."""

from __future__ import annotations

from collections.abc import Iterable

from semprune.errors.base import SempruneError, UnknownNameError


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


class TooFewDocumentsError(SempruneError):
    """Fewer documents than a resampling method needs."""

    def __init__(self, method: str, needed: str, got: int) -> None:
        """Name the method, what it needs and what there is."""
        super().__init__(
            f"{method} needs {needed}, and there are only {got} documents. "
            "Raise `limit`, add data sets, or ask for fewer permutations."
        )
