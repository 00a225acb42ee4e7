"""The data sets and calibration sets there are: one YAML each, found by looking."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable

import yaml

from semprune.data.registry.calibration_schema import CalibrationSpec
from semprune.data.registry.parse import Spec, parse
from semprune.data.registry.rules import check_calibration, check_dataset
from semprune.data.registry.schema import DatasetSpec
from semprune.errors import DatasetSchemaError, UnknownCalibrationError, UnknownDatasetError


def dataset_names() -> list[str]:
    """Names of all data sets, sorted.

    Example:
        >>> "sst2" in dataset_names()
        True
    """
    return _names(_folder())


def dataset_spec(name: str) -> DatasetSpec:
    """Return what a data set's YAML declares.

    Args:
        name: One of :func:`dataset_names`.

    Raises:
        UnknownDatasetError: If there is none of that name.
        DatasetSchemaError: If its YAML does not hold what it must.

    Example:
        >>> dataset_spec("sst2").labels.classes
        ('negative', 'positive')
    """
    if name not in dataset_names():
        raise UnknownDatasetError(name, dataset_names())
    return _dataset(name)


def dataset_yaml(name: str) -> str:
    """Return the text of a data set's YAML.

    Raises:
        UnknownDatasetError: If there is none of that name.
    """
    if name not in dataset_names():
        raise UnknownDatasetError(name, dataset_names())
    return (_folder() / f"{name}.yaml").read_text("utf-8")


def calibration_names() -> list[str]:
    """Names of all calibration sets, sorted."""
    return _names(_folder() / "calibration")


def calibration_spec(name: str) -> CalibrationSpec:
    """Return what a calibration set's YAML declares.

    Args:
        name: One of :func:`calibration_names`.

    Raises:
        UnknownCalibrationError: If there is none of that name.
        DatasetSchemaError: If its YAML does not hold what it must.
    """
    if name not in calibration_names():
        raise UnknownCalibrationError(name, calibration_names())
    return _calibration(name)


def read_dataset_yaml(name: str, text: str) -> DatasetSpec:
    """Parse and check the text of a data set's YAML.

    Args:
        name: The name that the file carries.
        text: The YAML.

    Raises:
        DatasetSchemaError: If it does not hold what it must.
    """
    spec = _read(DatasetSpec, name, text)
    check_dataset(name, spec)
    return spec


def read_calibration_yaml(name: str, text: str) -> CalibrationSpec:
    """Parse and check the text of a calibration set's YAML; as :func:`read_dataset_yaml`."""
    spec = _read(CalibrationSpec, name, text)
    check_calibration(name, spec)
    return spec


def _read(cls: type[Spec], name: str, text: str) -> Spec:
    try:
        content = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise DatasetSchemaError(name, f"its file is not YAML ({error})", "Correct the syntax.") from error
    return parse(cls, content, name=name)


@cache  # specs are frozen, and a data module asks for each of them several times
def _dataset(name: str) -> DatasetSpec:
    return read_dataset_yaml(name, dataset_yaml(name))


@cache
def _calibration(name: str) -> CalibrationSpec:
    return read_calibration_yaml(name, (_folder() / "calibration" / f"{name}.yaml").read_text("utf-8"))


def _folder() -> Traversable:
    return files("semprune.data.registry")


def _names(folder: Traversable) -> list[str]:
    return sorted(entry.name.removesuffix(".yaml") for entry in folder.iterdir() if entry.name.endswith(".yaml"))
