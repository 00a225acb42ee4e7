"""The data sets and calibration sets there are: one YAML each, found by looking.

They are in ``datasets`` and ``calibration`` here, and in the folders that the environment variable
``SEMPRUNE_REGISTRY`` names, divided as those of ``PATH``: your own data sets in them, your own calibration sets in
``calibration`` below them.
"""

from __future__ import annotations

import os
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Final

import yaml

from semprune.data.registry.parse import Spec, parse
from semprune.data.registry.rules import check_calibration, check_dataset
from semprune.data.registry.schema import CalibrationSpec, DatasetSpec
from semprune.errors import (
    ConfigurationError,
    DatasetSchemaError,
    SettingError,
    UnknownCalibrationError,
    UnknownDatasetError,
)
from semprune.errors.base import what_it_says
from semprune.io.yaml_text import read_yaml
from semprune.ranges import check_ranges

OWN_FOLDER: Final = "SEMPRUNE_REGISTRY"
"""Environment variable that names folders of YAML files of your own."""


def dataset_names() -> list[str]:
    """Names of all data sets, sorted.

    Example:
        >>> "sst2" in dataset_names()
        True
    """
    return sorted(_files("datasets"))


def dataset_spec(name: str) -> DatasetSpec:
    """Return what a data set's YAML declares.

    Args:
        name: One of :func:`dataset_names`.

    Raises:
        UnknownDatasetError: If there is none of that name.
        ConfigurationError: If ``SEMPRUNE_REGISTRY`` names no folder.
        DatasetSchemaError: If its YAML does not hold what it must.

    Example:
        >>> dataset_spec("sst2").labels.classes
        ('negative', 'positive')
    """
    return _dataset(name, dataset_yaml(name))


def dataset_yaml(name: str) -> str:
    """Return the text of a data set's YAML.

    Raises:
        UnknownDatasetError: If there is none of that name.
    """
    found = _files("datasets")
    if name not in found:
        raise UnknownDatasetError(name, found)
    return _text(name, found[name])


def calibration_names() -> list[str]:
    """Names of all calibration sets, sorted."""
    return sorted(_files("calibration"))


def calibration_spec(name: str) -> CalibrationSpec:
    """Return what a calibration set's YAML declares.

    Args:
        name: One of :func:`calibration_names`.

    Raises:
        UnknownCalibrationError: If there is none of that name.
        DatasetSchemaError: If its YAML does not hold what it must.
    """
    found = _files("calibration")
    if name not in found:
        raise UnknownCalibrationError(name, found)
    return _calibration(name, _text(name, found[name]))


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


def _text(name: str, file: Traversable) -> str:
    try:
        return file.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DatasetSchemaError(name, f"{file} cannot be read ({what_it_says(error)})", "Save it as UTF-8.") from error


def _read(cls: type[Spec], name: str, text: str) -> Spec:
    try:
        content = read_yaml(text)
    except yaml.YAMLError as error:
        raise DatasetSchemaError(name, f"its file is not YAML ({error})", "Correct the syntax.") from error
    spec = parse(cls, content, name=name)
    try:
        check_ranges(spec)
    except SettingError as error:
        raise DatasetSchemaError(name, str(error).rstrip("."), "Correct it in the YAML.") from error
    return spec


# specs are frozen, and a data module asks for each of them several times
_dataset = cache(read_dataset_yaml)
_calibration = cache(read_calibration_yaml)


def _files(kind: str) -> dict[str, Traversable]:
    """The YAML files by their names: the package's, then your own; a name that both have is an error."""
    found: dict[str, Traversable] = {}
    for place in _folders(kind):
        for entry in place.iterdir() if place.is_dir() else ():
            name = entry.name.removesuffix(".yaml")
            if name == entry.name:
                continue
            if name in found:
                raise DatasetSchemaError(name, f"{OWN_FOLDER} and the package both have it", "Rename your own.")
            found[name] = entry
    return found


def own_folders() -> list[Path]:
    """Folders of YAML files of your own.

    Raises:
        ConfigurationError: ``SEMPRUNE_REGISTRY`` names one that is none.
    """
    folders = [Path(folder) for folder in os.environ.get(OWN_FOLDER, "").split(os.pathsep) if folder]
    for folder in folders:
        if not folder.is_dir():
            raise ConfigurationError(f"{OWN_FOLDER} names '{folder}', which is no folder. Correct it, or unset it.")
    return folders


def _folders(kind: str) -> list[Traversable]:
    """Where YAML files of a kind lie; data sets of one's own stand in the folders themselves."""
    own = [folder if kind == "datasets" else folder / kind for folder in own_folders()]
    return [files("semprune.data.registry").joinpath(kind), *own]
