"""The registry: one YAML per data set (in this folder) and per calibration set (in ``calibration``)."""

from semprune.data.registry.calibration_schema import CalibrationSpec, TextFileSource, TextHubSource
from semprune.data.registry.catalogue import (
    calibration_names,
    calibration_spec,
    dataset_names,
    dataset_spec,
    dataset_yaml,
    read_calibration_yaml,
    read_dataset_yaml,
)
from semprune.data.registry.schema import Counts, DatasetSpec, DocumentRule, DropRule, LabelRule, Prompt
from semprune.data.registry.source_schema import HubSource, OfflineSource

__all__ = [
    "CalibrationSpec",
    "Counts",
    "DatasetSpec",
    "DocumentRule",
    "DropRule",
    "HubSource",
    "LabelRule",
    "OfflineSource",
    "Prompt",
    "TextFileSource",
    "TextHubSource",
    "calibration_names",
    "calibration_spec",
    "dataset_names",
    "dataset_spec",
    "dataset_yaml",
    "read_calibration_yaml",
    "read_dataset_yaml",
]
