"""Data: the registry of data sets, their sources, prompts and encodings, and the Lightning data modules."""

from semprune.data.batches.batching import EncodedDocument, document_batch
from semprune.data.load import load_documents, load_items, load_screening_items
from semprune.data.modules.calibration import CalibrationDataModule
from semprune.data.modules.documents import DocumentDataModule
from semprune.data.modules.evaluation import EvaluationDataModule
from semprune.data.registry import calibration_names, calibration_spec, dataset_names, dataset_spec
from semprune.data.settings import CalibrationSettings, ChatSettings, DocumentSettings

__all__ = [
    "CalibrationDataModule",
    "CalibrationSettings",
    "ChatSettings",
    "DocumentDataModule",
    "DocumentSettings",
    "EncodedDocument",
    "EvaluationDataModule",
    "calibration_names",
    "calibration_spec",
    "dataset_names",
    "dataset_spec",
    "document_batch",
    "load_documents",
    "load_items",
    "load_screening_items",
]
