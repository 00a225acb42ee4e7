"""The registry: one YAML per data set (in ``datasets``) and per calibration set (in ``calibration``)."""

from semprune.data.registry.catalogue import (
    calibration_names,
    calibration_spec,
    dataset_names,
    dataset_spec,
    dataset_yaml,
)
from semprune.data.registry.schema import (
    CalibrationSpec,
    Counts,
    DatasetSpec,
    DocumentRule,
    DropRule,
    HubSource,
    LabelRule,
    OfflineSource,
    Prompt,
    TextFileSource,
    TextHubSource,
)

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
]
