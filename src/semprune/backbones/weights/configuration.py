"""What decides beside its weights what a model computes: configuration, tokenizer, generation settings; as a hash."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase

PATTERNS = ("*.json", "*.txt", "*.jinja", "additional_chat_templates/*.jinja", "*.model", "*.tiktoken")
"""Every file of a model folder that can say something of it; what is left out is named below."""
UNRELATED_FILES = ("provenance.json", "*.safetensors.index.json", "*.bin.index.json", "README*", "LICENSE*")
UNRELATED_KEYS = ("_name_or_path", "transformers_version")
"""Keys of a configuration that say where it came from."""
STATE_OF_USE = ("padding", "truncation")
"""Entries of a tokenizer in memory that its last call left."""


def hash_configuration(folder: Path) -> str:
    """Return the sha256 over the files beside a folder's weights: names and content, whatever reads them.

    JSON counts by its values, a configuration without the keys that say where it came from.
    """
    found = {path for pattern in PATTERNS for path in folder.glob(pattern) if path.is_file()}
    kept = sorted(path for path in found if not any(path.match(pattern) for pattern in UNRELATED_FILES))
    return _hash({path.relative_to(folder).as_posix(): _content(path) for path in kept})


def hash_configuration_of(model: nn.Module, tokenizer: PreTrainedTokenizerBase | None = None) -> str:
    """Return the same of a model in memory, another number than its folder's; empty where it has no configuration."""
    if not isinstance(model, PreTrainedModel):
        return ""
    about: dict[str, Any] = {"config": _related(model.config.to_diff_dict())}
    if model.generation_config is not None:
        about["generation_config"] = _related(model.generation_config.to_dict())
    if tokenizer is not None:
        about["tokenizer"] = _tokenizer(tokenizer)
    about["config"].pop("dtype", None)  # said by the weights themselves
    return _hash(about)


def _content(path: Path) -> Any:
    content = path.read_bytes()
    if path.suffix == ".json":
        try:
            value = json.loads(content)
        except (ValueError, RecursionError):  # whoever reads it will say so
            return hashlib.sha256(content).hexdigest()
        return _related(value) if isinstance(value, dict) else value
    return hashlib.sha256(content).hexdigest()


def _related(content: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in content.items() if key not in UNRELATED_KEYS}


def _tokenizer(tokenizer: PreTrainedTokenizerBase) -> dict[str, Any]:
    backend = getattr(
        tokenizer, "backend_tokenizer", None
    )  # of those that are written in Python only the words are seen
    content = {} if backend is None else json.loads(backend.to_str())
    return {
        "class": type(tokenizer).__name__,
        "vocabulary": tokenizer.get_vocab(),
        "special": tokenizer.special_tokens_map,
        "template": tokenizer.chat_template,
        "longest": tokenizer.model_max_length,
        "content": {key: value for key, value in content.items() if key not in STATE_OF_USE},
    }


def _hash(content: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode()).hexdigest()
