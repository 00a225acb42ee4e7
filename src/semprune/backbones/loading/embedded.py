"""Backbones whose weights are an offline asset: converted once into an ordinary Hugging Face folder."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from semprune.assets import cache_folder, ensure_asset, find_asset
from semprune.backbones.loading.gguf import CONVERSION, converted
from semprune.io.yaml_text import read_yaml


@dataclass(frozen=True, slots=True)
class EmbeddedBackbone:
    """An entry of ``embedded.yaml``, whose comments explain each field."""

    name: str
    asset: str
    gguf: str
    revision: str
    hub: str


@functools.cache
def embedded_backbones() -> dict[str, EmbeddedBackbone]:
    """Return the embedded backbones by name.

    Example:
        >>> sorted(embedded_backbones())
        ['gemma-3-270m', 'smollm2-135m']
    """
    text = resources.files("semprune.backbones.loading").joinpath("embedded.yaml").read_text(encoding="utf-8")
    entries: dict[str, dict[str, Any]] = read_yaml(text)
    return {name: EmbeddedBackbone(name, **entry) for name, entry in entries.items()}


def embedded_folder(embedded: EmbeddedBackbone) -> Path:
    """Return the Hugging Face folder of an embedded backbone; fetch and convert on first use.

    Raises:
        SempruneError: The asset cannot be had (see ``ensure_asset``), or there is no room for the conversion.
    """
    sha256 = find_asset(embedded.asset).sha256
    folder = cache_folder() / "backbones" / f"{embedded.name}-{sha256[:12]}-v{CONVERSION}"
    if folder.is_dir():  # also where the asset has gone since
        return folder
    return converted(embedded.name, ensure_asset(embedded.asset) / embedded.gguf, folder)
