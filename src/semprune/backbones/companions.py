"""The files beside a model's weights, for a copy of the model: as they were, byte for byte.

Other readers know keys that this one does not, and other names for the same: a configuration that is read and written
again loses what they look for (``rope_theta``, ``torch_dtype`` …), and they fall back silently.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from semprune.backbones.loading.source import BESIDE
from semprune.errors import BackboneLoadError

CONFIG = "config.json"
NAMES_CODE = (CONFIG, "tokenizer_config.json")
"""Files that may name code of the model's repository, in ``auto_map``."""
DTYPE_KEYS = ("torch_dtype", "dtype")
"""What older and newer readers call the number format; transformers 5 reads both."""
INDEX_SUFFIX = ".index.json"


def companions(folder: Path, dtype: torch.dtype | None = None) -> Iterator[tuple[str, bytes]]:
    """Give the name and content of each file that a copy of a model needs beside its weights; last the configuration.

    Contents are those of the files. Only ``auto_map`` goes, since the code that it names does not come along; and the
    configuration's number format follows the copy's.

    Args:
        folder: The model's.
        dtype: Number format of the copy; None for that of the folder's configuration.

    Raises:
        BackboneLoadError: A configuration is no JSON object.
    """
    found = {path for pattern in BESIDE for path in folder.glob(pattern) if path.is_file()}
    for path in sorted(path for path in found if path.name != CONFIG and not path.name.endswith(INDEX_SUFFIX)):
        yield path.name, _content(path, {})
    written = {} if dtype is None else _number_format(folder / CONFIG, dtype)
    yield CONFIG, _content(folder / CONFIG, written)


def _content(path: Path, changes: dict[str, Any]) -> bytes:
    content = path.read_bytes()
    if path.name not in NAMES_CODE:
        return content
    before = _parse(path)
    after = {key: value for key, value in before.items() if key != "auto_map"} | changes
    if after == before:
        return content
    return (json.dumps(after, indent=2, ensure_ascii=False) + "\n").encode()


def _number_format(path: Path, dtype: torch.dtype) -> dict[str, str]:
    keys = [key for key in DTYPE_KEYS if key in _parse(path)] or DTYPE_KEYS[:1]
    return dict.fromkeys(keys, str(dtype).removeprefix("torch."))


def _parse(path: Path) -> dict[str, Any]:
    try:
        parsed = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise BackboneLoadError(
            str(path.parent), f"{path.name} is damaged ({error})", "Fetch the model again."
        ) from error
    if not isinstance(parsed, dict):
        raise BackboneLoadError(str(path.parent), f"{path.name} is no JSON object", "Fetch the model again.")
    return parsed
