"""The record of what was extracted from an asset: path, hash and size of every member."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

from semprune.assets.cache import cache_folder
from semprune.assets.catalogue import Asset
from semprune.assets.extract import Member
from semprune.errors import AssetChecksumError, AssetMemberMissingError, CorruptArtefactError

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
    """Return whether the folder is there, by names and sizes only.

    Raises:
        AssetMemberMissingError: The folder is there, but a member is gone or cut short.
        CorruptArtefactError: The record cannot be read.
        AssetChecksumError: The members came from another archive than the pinned one.
    """
    if not (folder / MANIFEST).is_file():
        return False
    for member in read_manifest(asset, folder):
        path = folder / member.path
        if not path.is_file() or path.stat().st_size != member.size_bytes:
            raise AssetMemberMissingError(asset.name, member.path)
    return True
