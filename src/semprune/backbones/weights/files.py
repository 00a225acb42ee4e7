"""Which files of a model folder hold its weights."""

from __future__ import annotations

import json
from pathlib import Path

from semprune.errors import BackboneLoadError

INDEX = "model.safetensors.index.json"
SINGLE = "model.safetensors"


def weight_files(folder: Path) -> list[Path]:
    """Return the safetensors files that a model folder's weights are in, in the order of their names.

    Raises:
        BackboneLoadError: There are none (pickled weights are never read), one is missing, or the index is damaged.
    """
    index = folder / INDEX
    try:
        stored = json.loads(index.read_text(encoding="utf-8"))["weight_map"].values() if index.is_file() else [SINGLE]
        names = sorted({str(Path(name)) for name in stored})
    except (ValueError, KeyError, AttributeError, TypeError) as error:
        detail = f"{INDEX} is damaged ({error!r})"
        raise BackboneLoadError(str(folder), detail, "Fetch the model again.") from error
    missing = [name for name in names if not (folder / name).is_file()]
    if missing:
        remedy = "Save the model with save_pretrained(..., safe_serialization=True); pickled weights are never read."
        raise BackboneLoadError(str(folder), f"there is no {', '.join(missing)}", remedy)
    return [folder / name for name in names]
