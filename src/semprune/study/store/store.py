"""The store: one folder per pruned model, in it one file per data set and one folder per association."""

from __future__ import annotations

import errno
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

import pandas as pd
import torch
from filelock import FileLock, Timeout

from semprune.artefacts import Cell
from semprune.attribution import TestPass
from semprune.attribution.fit.learner import AttributionLearner
from semprune.attribution.semantic_loss.concept_norms import ConceptNorms
from semprune.backbones import Backbone
from semprune.errors import CorruptArtefactError, ReadOnlyStoreError
from semprune.errors.base import what_it_says
from semprune.io.files import read_parquet
from semprune.io.tensor_files import read_sealed, write_sealed
from semprune.study.store.addresses import Addresses

DONE = "cell.json"
MEANING = "meaning.json"
READ_ONLY = (errno.EACCES, errno.EPERM, errno.EROFS)
"""What the system says of a place that can only be read."""


def is_done(addresses: Addresses, cell: Cell) -> bool:
    """Whether everything that a study wants of a cell is there."""
    return (addresses.cell(cell) / DONE).is_file() and not missing_parts(addresses, cell)


def missing_parts(addresses: Addresses, cell: Cell) -> list[str]:
    """What a study wants of a cell and is not there: data sets, ``text``, ``meaning``."""
    folder, config = addresses.cell(cell), addresses.config
    items = {name: addresses.items(name) for name in config.datasets}
    files = {name: [f"results-{file}.parquet", f"fidelity-{file}.parquet"] for name, file in items.items()}
    text = (
        f"{addresses.text}.parquet",
        *(f"{name}-{addresses.text}.parquet" for name in ("fidelity", "text_fidelity")),
    )
    files |= {"text": list(text)}
    files |= {"meaning": [f"{addresses.meaning}/{MEANING}"]}
    return [part for part, own in files.items() if not all((folder / name).is_file() for name in own)]


def save_test_pass(folder: Path, test_pass: TestPass) -> None:
    """Keep the dense pass over documents, which every later cell is compared with."""
    tensors = {} if test_pass.held_out is None else test_pass.held_out.tensors()
    if test_pass.norms is not None:
        tensors |= {"norms.squares": test_pass.norms.squares, "norms.tokens": test_pass.norms.tokens}
    write_sealed(folder / "dense.safetensors", tensors)


def load_test_pass(folder: Path, learner: AttributionLearner, lm: Backbone) -> TestPass:
    """Read the dense pass over documents back.

    Raises:
        CorruptArtefactError: A file is damaged.
    """
    test_pass = TestPass(learner, norms=ConceptNorms(lm, len(learner.shape.concepts) + len(learner.shape.classes)))
    remedy = f"Delete {folder} and run the same command again: that cell is then computed anew."
    try:
        _, tensors = read_sealed(folder / "dense.safetensors")
        if test_pass.held_out is not None:
            with torch.no_grad():
                test_pass.held_out.load(tensors)
        if test_pass.norms is not None:
            test_pass.norms.squares.copy_(tensors["norms.squares"])
            test_pass.norms.tokens.copy_(tensors["norms.tokens"])
    except Exception as error:  # as below
        raise CorruptArtefactError(folder, what_it_says(error), remedy) from error
    return test_pass


def read_table(path: Path) -> pd.DataFrame:
    """Read a table of a cell.

    Raises:
        CorruptArtefactError: There is no such file, or it is not what was written.
    """
    try:
        return read_parquet(path)
    except Exception as error:  # readers pass on whatever damaged bytes make them do
        remedy = f"Delete {path.parent} and run the same command again: that cell is then computed anew."
        raise CorruptArtefactError(path, what_it_says(error), remedy) from error


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object, empty where there is no file.

    Raises:
        CorruptArtefactError: The file is no JSON.
    """
    if not path.is_file():
        return {}
    remedy = "Delete it and run the same command again."
    try:
        content: Any = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise CorruptArtefactError(path, what_it_says(error), remedy) from error
    if not isinstance(content, dict):
        raise CorruptArtefactError(path, f"a JSON {type(content).__name__} where an object belongs", remedy)
    return content


def require_writable(folder: Path) -> None:
    """Refuse to compute what could not be kept.

    Raises:
        ReadOnlyStoreError: The folder cannot be made or written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=folder):
            pass
    except OSError as error:
        if error.errno not in READ_ONLY:
            raise
        raise ReadOnlyStoreError(folder, error.strerror or str(error)) from error


@contextmanager
def claim(path: Path, *, wait: bool = False) -> Iterator[bool]:
    """Try to be the only process that works at something.

    The lock is the operating system's (on network file systems their own, as NFS 4 has it), not the file's existence:
    the claim of a killed process is free at once, and no clock or heartbeat has to be believed.

    Args:
        path: Lock file; it stays behind, empty.
        wait: Wait until the claim is free.

    A folder that can only be read needs no claim: nobody writes there from here, and :func:`require_writable` refuses
    to work for it.

    Yields:
        Whether the claim is this process's, until the block ends.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder, claim(Path(folder) / "cell.lock") as mine:
        ...     with claim(Path(folder) / "cell.lock") as again:
        ...         mine, again
        (True, False)
    """
    lock = FileLock(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=-1 if wait else 0)
    except Timeout:
        yield False
        return
    except OSError as error:
        if error.errno not in READ_ONLY:
            raise
        yield True
        return
    try:
        yield True
    finally:
        lock.release()
