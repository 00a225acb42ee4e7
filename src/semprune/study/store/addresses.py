"""Content addresses: a name for everything that a study computes, made of all that it depends on.

Declarations say what is read and how; what was read is hashed beside them, since a file or a page of the hub may have
other content tomorrow under the same declaration.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Protocol

from semprune.artefacts import Cell, split_calibration
from semprune.attribution.gates.settings import GateSettings
from semprune.backbones import Backbone
from semprune.data import calibration_spec
from semprune.data.calibration.mixtures import parse_mixture
from semprune.data.calibration.reserved import reserved_datasets, task_families
from semprune.data.hashes import hash_declaration
from semprune.data.registry import dataset_names
from semprune.evaluation.engine.request_scorer import ENGINE_VERSION
from semprune.pruning.guidance.protection import parse_protection
from semprune.pruning.guidance.sharing import MOST_SEQUENCES, MOST_TOKENS
from semprune.pruning.guidance.strength import AUTO
from semprune.pruning.guidance.worded import TEXT
from semprune.pruning.methods import source_hash
from semprune.study.config.schema import StudyConfig

LAYOUT = 7
"""Raised whenever a fit's or a cell's figures or files may change; those of another layout are not read."""
SHARING = f"rows and matrices share by {MOST_SEQUENCES} x {MOST_TOKENS} tokens of general text; all is permuted"
"""What a protection does beside weighing tokens: prunings of before it did so are others."""
SEARCH = "the most is kept of each answer and word of what is to be chosen for"
"""What a strength is chosen by: those that were chosen otherwise are others."""


Draw = tuple[str, int, int, int]
"""Calibration set, sequences, length, seed."""


def content_hash(content: object) -> str:
    """First 12 digits of the sha256 of plain values.

    Example:
        >>> content_hash({"a": 1, "b": 2}) == content_hash({"b": 2, "a": 1})
        True
    """
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:12]


def declared(calibration: str) -> list[str]:
    """The declarations of a calibration set or of a mixture's parts, and what is protected beside it."""
    text, protected = split_calibration(calibration)
    sets = [repr(calibration_spec(name)) for name, _ in parse_mixture(text)]
    return [*sets, *_protected(protected)] if protected else sets


def _protected(protected: str) -> list[str]:
    """What is protected, with the content of its files and the declarations of its data sets."""
    asked = parse_protection(protected)
    search = [SEARCH] if asked.strength == AUTO else []
    return [repr(asked), SHARING, *search, *(part for name in asked.names for part in _named(name))]


def _named(name: str) -> list[str]:
    """The content of what is named where it is a file, and the declarations where it is data sets."""
    file, dataset = Path(name.removeprefix(TEXT)), name.partition(".")[0]
    content = [hashlib.sha256(file.read_bytes()).hexdigest()] if file.is_file() else []
    sets = [dataset, *(reserved_datasets(name) if name in task_families() else ())]
    return [*content, *(hash_declaration(each) for each in sets if each in dataset_names())]


class Contents(Protocol):
    """Hashes of what a study reads, each of it read when its hash is first asked for."""

    def items(self, dataset: str) -> str:
        """Of a data set's items, as the model reads them."""
        ...

    def screened(self, dataset: str) -> str:
        """Of a data set's screening items, in every wording that is asked."""
        ...

    def fitted(self) -> str:
        """Of the documents that the association is fitted on and read back from, and of the concepts' words."""
        ...

    def sequences(self, draw: Draw, add_bos: bool | None) -> str:
        """Of calibration sequences, with the special tokens that they begin with."""
        ...


@dataclass(frozen=True)
class Addresses:
    """Where a study's parts are in its store.

    Attributes:
        config: The study.
        backbone: Fingerprint and dtype of its model.
        contents: What is read.
    """

    config: StudyConfig
    backbone: tuple[str, ...]
    contents: Contents

    @classmethod
    def of(cls, config: StudyConfig, lm: Backbone, contents: Contents) -> Addresses:
        """Addresses of a study of a loaded backbone."""
        mark = lm.fingerprint
        return cls(config, (mark.architecture, mark.revision, mark.weights_sha256, mark.configuration_sha256,
                            str(lm.dtype)), contents)  # fmt: skip

    @property
    def store(self) -> Path:
        """Folder of everything that studies share."""
        return Path(self.config.store)

    @property
    def fit(self) -> Path:
        """Folder of the association."""
        return self.store / "fit" / f"{self._fitted}-{LAYOUT}"

    @property
    def _fitted(self) -> str:
        config = self.config.fit
        declared = self._declarations(config.datasets)
        settings = asdict(config)
        if not config.gates:  # what is not learned changes nothing
            settings = {name: value for name, value in settings.items() if not name.startswith("gate")}
        else:  # how they start and what else steps weigh, too: fits of before learned others
            settings["gate_settings"] = asdict(GateSettings())
        return content_hash([settings, declared, self.contents.fitted(), *self.backbone])

    def cell(self, cell: Cell) -> Path:
        """Folder of one pruned model, whatever is measured of it."""
        content: list[object] = [LAYOUT, *self.backbone, asdict(cell)]
        if cell.calibration:
            read = self.contents.sequences(cell.draw, self.config.calibration_add_bos)
            content += [self.config.statistics, declared(cell.calibration), read]
        if cell.method != "dense" and (source := source_hash(cell.method)) is not None:
            content.append(source)
        return self.store / "cells" / f"{cell.label}-{content_hash(content)}"

    def items(self, dataset: str) -> str:
        """Name of what is measured on one data set."""
        config = self.config
        content: list[object] = [ENGINE_VERSION, config.limit, config.token_budget, *self._declarations([dataset])]
        return f"{dataset}-{content_hash([*content, self.contents.items(dataset)])}"

    def screening(self, dataset: str) -> Path:
        """File of the dense model's answers to a data set's screening items."""
        content = [ENGINE_VERSION, self.config.token_budget, *self._declarations([dataset]), *self.backbone]
        name = f"{dataset}-{content_hash([*content, self.contents.screened(dataset)])}.parquet"
        return self.store / "screening" / name

    @property
    def text(self) -> str:
        """Name of the perplexity."""
        config = self.config.text
        read = self.contents.sequences((config.calibration, config.sequences, config.length, 0), config.add_bos)
        return f"text-{content_hash([asdict(config), declared(config.calibration), read])}"

    @property
    def meaning(self) -> str:
        """Name of what is measured with the association."""
        content = [self._fitted, self.config.neurons_per_concept, *sorted(self.config.losses)]
        return f"meaning-{content_hash(content)}"

    def _declarations(self, datasets: list[str]) -> list[str]:
        return [hash_declaration(name) for name in datasets]
