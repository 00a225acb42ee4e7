"""A finished study, its masks and its model, made once."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from tests.fuzz.command_lines import Folder
from tests.integration.small_study import run, write_study


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Folder]:
    path = tmp_path_factory.mktemp("fuzz")
    before = os.environ.get("SEMPRUNE_CACHE")
    os.environ["SEMPRUNE_CACHE"] = str(path / "cache")
    assert run(path, ["study", "--config", str(write_study(path, path / "whole", causal=None))]) == 0
    masks = ["--method=wanda", "--sparsity=0.5", "--masks_only=true", "--output", str(path / "masks")]
    few = ["--calibration.sequences=4", "--calibration.length=16"]
    assert run(path, ["prune", "--backbone.name", str(path / "model"), *masks, *few]) == 0
    yield Folder(path)
    os.environ.pop("SEMPRUNE_CACHE")
    if before is not None:
        os.environ["SEMPRUNE_CACHE"] = before
