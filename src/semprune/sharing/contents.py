"""What of a path is pushed: which files, under which names, and the card of those that have none yet."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from safetensors import SafetensorError, safe_open

from semprune.artefacts.card import CARD, Origin, stated_in, write_card
from semprune.backbones.loading.origin import origin_named
from semprune.errors import NotShareableError
from semprune.errors.base import first_line
from semprune.sharing.hub import SAFE

ASSOCIATION, MASKS = "association.safetensors", "semprune/masks.safetensors"
USES = {
    ASSOCIATION: '`semprune pull REPO FOLDER`, then `semprune.load_association("FOLDER/association.safetensors")`.',
    MASKS: "`semprune pull REPO FOLDER`, then `semprune prune --masks FOLDER --backbone.name MODEL --output OUT`.",
}


@dataclass(frozen=True, slots=True)
class Contents:
    """Files to push.

    Attributes:
        kind: ``model``, ``masks`` or ``association``.
        files: Where the content of each is, or the content itself, by its name in the repository.
    """

    kind: str
    files: Mapping[str, Path | bytes]


def contents(path: Path) -> Contents:
    """Return what of a path is pushed.

    Args:
        path: A folder that ``semprune prune`` or :func:`semprune.pruning.card.write_card` finished, or a file of masks
            or of an association.

    Raises:
        NotShareableError: It is none of these, or not finished.
    """
    if path.is_file():
        return _file(path)
    if not path.is_dir():
        raise NotShareableError(path, "there is no such folder or file", "Check the path.")
    if (path / ".prune").exists():
        raise NotShareableError(path, "its pruning is not finished", "Run the same `semprune prune` again first.")
    if "semprune" not in stated_in(path):
        remedy = (
            "`semprune prune` writes one, and `semprune.write_card` for a model that was pruned in memory. Of a run, "
            "push its association.safetensors."
        )
        raise NotShareableError(path, f"it has no model card of semprune ({CARD})", remedy)
    files = {
        name: each
        for each in sorted(path.rglob("*"))
        if each.is_file() and shared(name := each.relative_to(path).as_posix())
    }
    if not any(name.endswith(".safetensors") for name in files):
        raise NotShareableError(path, "it has no safetensors file", "Save the model with save_pretrained.")
    kind = "model" if "config.json" in files else "masks" if MASKS in files else "association"
    return Contents(kind, files)


def shared(name: str) -> bool:
    """Whether a file of a folder is pushed: by the pattern of its name, and not hidden.

    Example:
        >>> shared("semprune/masks.safetensors"), shared("optimizer.pt"), shared(".cache/huggingface/x.json")
        (True, False, False)
    """
    hidden = any(part.startswith(".") for part in name.split("/"))
    return not hidden and any(fnmatch(name.rpartition("/")[2], pattern) for pattern in SAFE)


def _file(path: Path) -> Contents:
    try:
        with safe_open(path, framework="numpy") as stored:
            metadata = stored.metadata() or {}
    except (SafetensorError, OSError) as error:
        raise NotShareableError(path, first_line(error), "Pass a safetensors file, or a folder.") from error
    own = {key: json.loads(text) for key, text in metadata.items() if key.startswith("semprune.")}
    headers = {re.split("[./]", key)[1]: header for key, header in own.items()}
    if "association" in headers:
        return Contents("association", {ASSOCIATION: path, CARD: _association_card(headers["association"])})
    if "masks" in headers:
        return Contents("masks", {MASKS: path, CARD: _masks_card(headers["masks"])})
    raise NotShareableError(path, "it is no file of masks and no association", "Of a model, pass its folder.")


def _association_card(header: Mapping[str, Any]) -> bytes:
    concepts, fitted = header["concepts"], header.get("fitted_documents", {})
    origin = origin_named(str(header["settings"].get("backbone", header["fingerprint"]["architecture"])))
    about = {"concepts": concepts, "fingerprint": header["fingerprint"]}
    rows = {
        "backbone": origin.hub or origin.name,
        "its weights": header["fingerprint"]["weights_sha256"],
        "concepts": ", ".join(concepts),
        "fitted on": ", ".join(fitted.get("datasets", [])) or "not recorded",
    }
    return _card(origin, f"Neuron × concept association of {origin.name}", about, rows, USES[ASSOCIATION])


def _masks_card(header: Mapping[str, Any]) -> bytes:
    origin = Origin(header["fingerprint"]["architecture"])
    about = {name: header[name] for name in ("method", "settings", "calibration", "fingerprint")}
    rows = {
        "backbone": f"{origin.name} with weights {header['fingerprint']['weights_sha256']}",
        "method": ", ".join([header["method"], *(f"{name} {value}" for name, value in header["settings"].items())]),
        "calibration": header["calibration"] or "none: the method looks at no text",
    }
    return _card(origin, f"Masks of {header['method']}", about, rows, USES[MASKS])


def _card(origin: Origin, title: str, about: Mapping[str, Any], rows: Mapping[str, str], usage: str) -> bytes:
    with TemporaryDirectory() as folder:
        return write_card(Path(folder), origin, title, about, rows.items(), usage, weights=False).read_bytes()
