"""Typed errors that compose their own remedy: what was wrong, what was got, what to do.

Every error a user can cause derives from :class:`SempruneError`; the command line prints it as
``ErrorName: message`` and exits with status 2, without a traceback.

Each room's errors stand in a file of its name.
"""

from semprune.errors.artefacts import (
    BackboneMismatchError,
    CorruptArtefactError,
    EmptyStudyError,
    FailedCellsError,
    OutputOccupiedError,
    OutputWriteError,
)
from semprune.errors.assets import (
    AssetChecksumError,
    AssetDiskFullError,
    AssetLicenceError,
    AssetMemberMissingError,
    AssetNetworkError,
    AssetUnsafePathError,
    UnknownAssetError,
)
from semprune.errors.attribution import (
    ConceptWithoutEvidenceError,
    PrecisionError,
    TooFewDocumentsError,
    UnencodableConceptError,
    UnknownConceptError,
    UnknownNeuronError,
    VocabularySchemaError,
)
from semprune.errors.backbones import (
    BackboneLoadError,
    CaptureError,
    NonFiniteError,
    RoutedNeuronsError,
    UnknownArchitectureError,
    UnknownBackboneError,
    UnprunedMatrixError,
)
from semprune.errors.base import (
    ConfigurationError,
    SempruneError,
    SettingError,
    SparsityRangeError,
    UnknownNameError,
)
from semprune.errors.data import (
    DatasetSchemaError,
    DatasetUnavailableError,
    EmptyCalibrationError,
    MixtureError,
    PromptTooLongError,
    UnknownCalibrationError,
    UnknownDatasetError,
    UnknownPromptError,
)
from semprune.errors.evaluation import (
    MetricUndefinedError,
    OutOfMemoryError,
    UnknownMetricError,
    UnpairedPredictionsError,
)
from semprune.errors.pruning import (
    CalibrationMissingError,
    EmptyMatrixError,
    ForeignMethodError,
    MaskMismatchError,
    MasksOnlyError,
    MemoryLimitError,
    NeuronRemovalError,
    NotPositiveDefiniteError,
    UnknownMethodError,
    UnroutedExpertError,
)

__all__ = [
    "AssetChecksumError",
    "AssetDiskFullError",
    "AssetLicenceError",
    "AssetMemberMissingError",
    "AssetNetworkError",
    "AssetUnsafePathError",
    "BackboneLoadError",
    "BackboneMismatchError",
    "CalibrationMissingError",
    "CaptureError",
    "ConceptWithoutEvidenceError",
    "ConfigurationError",
    "CorruptArtefactError",
    "DatasetSchemaError",
    "DatasetUnavailableError",
    "EmptyCalibrationError",
    "EmptyMatrixError",
    "EmptyStudyError",
    "FailedCellsError",
    "ForeignMethodError",
    "MaskMismatchError",
    "MasksOnlyError",
    "MemoryLimitError",
    "MetricUndefinedError",
    "MixtureError",
    "NeuronRemovalError",
    "NonFiniteError",
    "NotPositiveDefiniteError",
    "OutOfMemoryError",
    "OutputOccupiedError",
    "OutputWriteError",
    "PrecisionError",
    "PromptTooLongError",
    "RoutedNeuronsError",
    "SempruneError",
    "SettingError",
    "SparsityRangeError",
    "TooFewDocumentsError",
    "UnencodableConceptError",
    "UnknownArchitectureError",
    "UnknownAssetError",
    "UnknownBackboneError",
    "UnknownCalibrationError",
    "UnknownConceptError",
    "UnknownDatasetError",
    "UnknownMethodError",
    "UnknownMetricError",
    "UnknownNameError",
    "UnknownNeuronError",
    "UnknownPromptError",
    "UnpairedPredictionsError",
    "UnprunedMatrixError",
    "UnroutedExpertError",
    "VocabularySchemaError",
]
