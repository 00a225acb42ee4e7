"""A GGUF file of one's own, by its path or the folder that holds it."""

from __future__ import annotations

from pathlib import Path

from semprune.assets import cache_folder
from semprune.assets.download import sha256_of
from semprune.backbones.loading.gguf import CONVERSION, converted
from semprune.errors import BackboneLoadError
from semprune.errors.base import some_of
from semprune.io.known_hashes import known_hash

SUFFIX = ".gguf"


def find_gguf(name: str) -> Path | None:
    """Return the GGUF file that a backbone's name stands for; None where it is no path of one.

    Args:
        name: Path of a file that ends in ``.gguf``, or of a folder with one such file and no ``config.json``.

    Raises:
        BackboneLoadError: There is no such file, or the folder holds several.

    Example:
        >>> find_gguf("organisation/model") is None
        True
    """
    path = Path(name).expanduser()
    if path.suffix.lower() == SUFFIX and not path.is_dir():
        if not path.is_file():
            raise BackboneLoadError(
                name, "there is no such file", "Correct its path, which is seen from where you are."
            )
        return path
    if not path.is_dir() or (path / "config.json").is_file():
        return None
    found = sorted(entry for entry in path.iterdir() if entry.suffix.lower() == SUFFIX)
    if len(found) > 1:
        names = some_of(entry.name for entry in found)
        raise BackboneLoadError(name, f"the folder holds {len(found)} GGUF files: {names}", "Pass the path of one.")
    return found[0] if found else None


def own_gguf_folder(name: str, gguf: Path) -> Path:
    """Return the Hugging Face folder of a GGUF file, named by its content; convert it on first use.

    Raises:
        BackboneLoadError: The file cannot be converted, or there is no room.
        UnknownArchitectureError: No family file describes its model.
    """
    sha256 = known_hash(cache_folder() / "fingerprints", "gguf", [gguf], lambda: sha256_of(gguf))
    return converted(name, gguf, cache_folder() / "backbones" / f"gguf-{sha256[:16]}-v{CONVERSION}")
