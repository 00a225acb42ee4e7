"""Every error is offered by `semprune.errors`, in one file, and is named by where it is imported from."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from pathlib import Path

import pytest

import semprune.errors

FILES = [module.name for module in pkgutil.iter_modules(semprune.errors.__path__)]


def classes(name: str) -> dict[str, type]:
    module = importlib.import_module(f"semprune.errors.{name}")
    source = Path(str(module.__file__)).read_text("utf-8")
    return {each: found for each, found in inspect.getmembers(module, inspect.isclass) if f"\nclass {each}(" in source}


@pytest.mark.parametrize("name", FILES)
def test_what_a_file_holds_is_offered(name):
    assert classes(name)
    for each, found in classes(name).items():
        assert issubclass(found, semprune.errors.SempruneError)
        assert getattr(semprune.errors, each) is found
        assert each in semprune.errors.__all__


def test_each_is_in_one_file():
    found = [each for name in FILES for each in classes(name)]
    assert sorted(found) == sorted(semprune.errors.__all__)


def test_an_error_is_named_by_the_package():
    assert semprune.errors.SparsityRangeError.__module__ == "semprune.errors"
    assert type("Own", (semprune.errors.SempruneError,), {"__module__": "mine"}).__module__ == "mine"
