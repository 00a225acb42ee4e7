"""What the cache holds of an asset, and whether it is still what was extracted."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from semprune.assets.cache import MANIFEST, asset_folder, check_members, is_whole, read_manifest
from semprune.assets.catalogue import Asset, find_asset
from semprune.errors import AssetChecksumError, AssetMemberMissingError, CorruptArtefactError


@dataclass(frozen=True, slots=True)
class AssetStatus:
    """What the cache holds of an asset.

    Attributes:
        asset: The catalogue's entry.
        folder: Where its members are, or would be.
        state: ``absent``; ``present``; ``damaged`` where a member is gone or is not what was extracted.
        size_bytes: Size of the extracted members, 0 where absent.
    """

    asset: Asset
    folder: Path
    state: Literal["absent", "present", "damaged"]
    size_bytes: int


def verify_asset(name: str) -> None:
    """Hash every extracted member again and compare with what was extracted.

    Raises:
        UnknownAssetError: No asset has this name.
        AssetMemberMissingError: The asset was not fetched, or a member is gone.
        AssetChecksumError: A member, or the archive it came from, is not the recorded one.
        CorruptArtefactError: The record of the members cannot be read.
    """
    verify(find_asset(name))


def verify(asset: Asset) -> None:
    """Do the work of :func:`verify_asset` for an asset of any catalogue."""
    folder = asset_folder(asset)
    if not (folder / MANIFEST).is_file():
        raise AssetMemberMissingError(asset.name, MANIFEST)
    check_members(asset, folder, read_manifest(asset, folder))


def asset_status(name: str) -> AssetStatus:
    """Say what the cache holds of an asset."""
    asset = find_asset(name)
    folder = asset_folder(asset)
    if not (folder / MANIFEST).is_file():
        return AssetStatus(asset, folder, "absent", 0)
    try:
        is_whole(asset, folder)
        members = read_manifest(asset, folder)
    except (AssetMemberMissingError, AssetChecksumError, CorruptArtefactError):
        return AssetStatus(asset, folder, "damaged", 0)
    return AssetStatus(asset, folder, "present", sum(member.size_bytes for member in members))
