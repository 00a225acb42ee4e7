"""Methods, masks, calibration of what prunes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from semprune.errors.base import ConfigurationError, SempruneError, UnknownNameError


class UnknownMethodError(UnknownNameError):
    """No such pruning method."""

    kind = "pruning method"


class UnknownProtectionError(UnknownNameError):
    """Nothing of that name can be protected."""

    kind = "thing to protect"
    remedy = (
        " Name a task family, a data set, one of its classes, a concept, or a file: words.txt, items.csv, "
        "concept.yaml, text:notes.txt."
    )


class ProtectionBudgetError(SempruneError):
    """No strength keeps what is protected within the budget of general perplexity."""

    def __init__(self, budget: float, strength: float, price: float) -> None:
        """Name the budget, and what costs least."""
        super().__init__(
            f"no strength that was tried keeps what is protected within {budget:+.1%} perplexity: the cheapest, "
            f"{strength:g}, costs {price:+.1%}. Allow more (protect.budget), or state protect.strength as a number."
        )


class ForeignMethodError(SempruneError):
    """An entry point of another distribution that offers no pruning method that could be used."""

    def __init__(self, value: str, distribution: str, fault: str) -> None:
        """Name the entry point, whose it is and what is wrong with it."""
        super().__init__(
            f"the pruning method {value} that distribution {distribution} offers {fault}. "
            f"Correct the entry point, or uninstall the distribution."
        )


class CalibrationMissingError(SempruneError):
    """A pruning callback whose data module offers no calibration sequences."""

    def __init__(self, callback: str, datamodule: str) -> None:
        """Name the callback and the data module."""
        super().__init__(
            f"callback {callback} needs calibration sequences, but data module {datamodule} offers none. "
            "Use EvaluationDataModule or CalibrationDataModule with `calibration` set, for example c4."
        )


class UnroutedExpertError(SempruneError):
    """An expert of a mixture that no calibration token was routed to."""

    def __init__(self, matrices: Iterable[str], shown: int = 6) -> None:
        """List the matrices without a statistic."""
        names = list(matrices)
        more = f" and {len(names) - shown} more" if len(names) > shown else ""
        super().__init__(
            f"no calibration token was routed to the experts of {', '.join(names[:shown])}{more}: nothing is known of "
            "their inputs. Pass more or more varied calibration sequences; or keep such experts whole (unrouted: keep; "
            "in an output folder with finished blocks too); or prune by magnitude, which needs none."
        )


class NotPositiveDefiniteError(SempruneError):
    """Second moments that have no inverse, even damped."""

    def __init__(self, matrix: str, damping: float) -> None:
        """Name the matrix and the damping."""
        super().__init__(
            f"the second moments of the input of {matrix} are not positive definite with damping {damping:g}: "
            f"SparseGPT cannot invert them. Pass a larger damping (for example {10 * damping or 0.01:g}), or more "
            "calibration tokens."
        )


class NeuronRemovalError(SempruneError):
    """A model whose MLP neurons cannot be taken out so that the result can be saved and loaded."""

    def __init__(self, architecture: str, detail: str) -> None:
        """Name the architecture and what stands in the way."""
        super().__init__(
            f"neurons of {architecture} cannot be removed: {detail}. "
            "Prune single weights instead (prune_model), which keeps every shape."
        )


class EmptyMatrixError(SempruneError):
    """A matrix that pruning would leave without any weight."""

    def __init__(self, matrix: str) -> None:
        """Name the matrix."""
        super().__init__(
            f"pruning would leave no weight of {matrix}: all its scores are equal to the threshold that the published "
            "code takes. Lower the sparsity, or use selection 'exact', which never empties a group."
        )


class MaskMismatchError(SempruneError):
    """Ranks of one run that computed different masks."""

    def __init__(self, hashes: Iterable[str]) -> None:
        """List the masks' hashes in the order of the ranks."""
        super().__init__(
            f"ranks computed different masks (sha256 by rank: {', '.join(value[:12] for value in hashes)}). "
            "Give every rank the same weights, dtype, device type and calibration sequences."
        )


class MemoryLimitError(SempruneError):
    """A run that would need more memory than it may take."""

    def __init__(self, needed_bytes: int, limit_bytes: int, largest: str) -> None:
        """Name what is needed, what is allowed and what needs most."""
        super().__init__(
            f"this run would need about {needed_bytes / 1e9:.2f} GB of memory, most of it for {largest}; the limit is "
            f"{limit_bytes / 1e9:.2f} GB. Lower --calibration.batch_size or --calibration.length, take a smaller "
            "--backbone.dtype, or raise --memory_limit."
        )


class AdapterError(SempruneError):
    """Adapters of a kind that masks cannot be held through, or none where they are to be merged."""


class FilledZerosError(SempruneError):
    """A model that has lost zeros of its masks."""

    def __init__(self, model: str, masks: str, filled: Mapping[str, int]) -> None:
        """Name the model and the masks, how many zeros are lost, and where most."""
        worst = max(filled, key=lambda name: filled[name])
        super().__init__(
            f"{sum(filled.values()):,} weights of {model} should be zero by {masks} and are not, in {len(filled)} "
            f"matrices, most in {worst} ({filled[worst]:,}). Merge adapters with semprune.merge_adapters, tune with "
            "HoldMasks, or apply the masks again with semprune.pruning.apply_masks."
        )


class MasksOnlyError(ConfigurationError):
    """Masks alone asked of a method that changes the weights it keeps."""

    def __init__(self, method: str) -> None:
        """Name the method."""
        super().__init__(
            f"method '{method}' changes the weights that it keeps, so that masks alone do not give its result. "
            "Take the folder of the pruned model, which `semprune prune` writes without --masks_only."
        )
