"""Content addresses: a name for everything that a study computes, made of all that it depends on.

Nothing here reads data: texts are named by their declarations, whose packages are pinned by sha256.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path

from semprune.backbones import Backbone
from semprune.data import calibration_spec, hash_declaration
from semprune.data.mixtures import parse_mixture
from semprune.evaluation.engine import ENGINE_VERSION
from semprune.study.cells import Cell
from semprune.study.config import StudyConfig

LAYOUT = 3
"""Raised whenever a cell's figures or files may change; cells of another layout are not read."""


def content_hash(content: object) -> str:
    """First 12 digits of the sha256 of plain values.

    Example:
        >>> content_hash({"a": 1, "b": 2}) == content_hash({"b": 2, "a": 1})
        True
    """
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:12]


def declared(calibration: str) -> list[str]:
    """The declarations of a calibration set or of a mixture's parts."""
    return [repr(calibration_spec(name)) for name, _ in parse_mixture(calibration)]


@dataclass(frozen=True)
class Addresses:
    """Where a study's parts are in its store.

    Attributes:
        config: The study.
        backbone: Fingerprint and dtype of its model.
    """

    config: StudyConfig
    backbone: tuple[str, str, str]

    @classmethod
    def of(cls, config: StudyConfig, lm: Backbone) -> Addresses:
        """Addresses of a study of a loaded backbone."""
        return cls(config, (str(lm.fingerprint), lm.fingerprint.weights_sha256, str(lm.dtype)))

    @property
    def store(self) -> Path:
        """Folder of everything that studies share."""
        return Path(self.config.store)

    @property
    def fit(self) -> Path:
        """Folder of the association."""
        config = self.config.fit
        return self.store / "fit" / content_hash([asdict(config), self._declarations(config.datasets), *self.backbone])

    def cell(self, cell: Cell) -> Path:
        """Folder of one pruned model, whatever is measured of it."""
        content: list[object] = [LAYOUT, *self.backbone, asdict(cell)]
        if cell.calibration:
            content += [self.config.statistics, declared(cell.calibration)]
        return self.store / "cells" / f"{cell.label}-{content_hash(content)}"

    def items(self, dataset: str) -> str:
        """Name of what is measured on one data set."""
        config = self.config
        content: list[object] = [ENGINE_VERSION, config.limit, config.token_budget, *self._declarations([dataset])]
        asked = {"prompt": config.prompt, "shots": config.shots, "chat": config.chat}
        if any(asked.values()):  # the first wording, zero-shot, is what the name says without
            content.append(asked)
        return f"{dataset}-{content_hash(content)}"

    @property
    def text(self) -> str:
        """Name of the perplexity."""
        config = self.config.text
        return f"text-{content_hash([asdict(config), declared(config.calibration)])}"

    @property
    def meaning(self) -> str:
        """Name of what is measured with the association."""
        content = [self.fit.name, self.config.neurons_per_concept, *sorted(self.config.losses)]
        return f"meaning-{content_hash(content)}"

    def _declarations(self, datasets: list[str]) -> list[str]:
        return [hash_declaration(name) for name in datasets]
