"""Content addresses: a name for everything that a study computes, made of all that it depends on.

Nothing here reads data: texts are named by their declarations, whose packages are pinned by sha256.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from semprune.artefacts import Cell
from semprune.backbones import Backbone
from semprune.data import calibration_spec, dataset_spec
from semprune.data.calibration.mixtures import parse_mixture
from semprune.data.hashes import hash_declaration
from semprune.data.prompts.render import find_prompts
from semprune.evaluation.engine.request_scorer import ENGINE_VERSION
from semprune.pruning.methods import source_hash
from semprune.study.config.schema import StudyConfig

LAYOUT = 5
"""Raised whenever a fit's or a cell's figures or files may change; those of another layout are not read."""


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
        template: Its tokenizer's chat template, which the fingerprint of the weights does not cover.
    """

    config: StudyConfig
    backbone: tuple[str, str, str]
    template: str = ""

    @classmethod
    def of(cls, config: StudyConfig, lm: Backbone) -> Addresses:
        """Addresses of a study of a loaded backbone."""
        backbone = (str(lm.fingerprint), lm.fingerprint.weights_sha256, str(lm.dtype))
        return cls(config, backbone, str(lm.tokenizer.chat_template))

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
        return content_hash([asdict(config), self._declarations(config.datasets), *self.backbone])

    def cell(self, cell: Cell) -> Path:
        """Folder of one pruned model, whatever is measured of it."""
        content: list[object] = [LAYOUT, *self.backbone, asdict(cell)]
        if cell.calibration:
            content += [self.config.statistics, declared(cell.calibration)]
        if cell.method != "dense" and (source := source_hash(cell.method)) is not None:
            content.append(source)
        return self.store / "cells" / f"{cell.label}-{content_hash(content)}"

    def items(self, dataset: str) -> str:
        """Name of what is measured on one data set."""
        config = self.config
        content: list[object] = [ENGINE_VERSION, config.limit, config.token_budget, *self._declarations([dataset])]
        asked = self._asked(dataset)
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
        content = [self._fitted, self.config.neurons_per_concept, *sorted(self.config.losses)]
        return f"meaning-{content_hash(content)}"

    def _asked(self, dataset: str) -> dict[str, Any]:
        config, spec = self.config, dataset_spec(dataset)
        is_first = find_prompts(spec, config.prompt) == find_prompts(spec, None)  # by its name, or the only one of all
        asked: dict[str, Any] = {"prompt": None if is_first else config.prompt, "shots": config.shots}
        return asked | {"chat": [self.template, asdict(config.spoken)] if config.spoken else False}

    def _declarations(self, datasets: list[str]) -> list[str]:
        return [hash_declaration(name) for name in datasets]
