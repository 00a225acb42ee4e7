"""Offline packages."""

from __future__ import annotations

from pathlib import Path

from semprune.errors.base import SempruneError, UnknownNameError


class UnknownAssetError(UnknownNameError):
    """No such offline package."""

    kind = "asset"


class AssetChecksumError(SempruneError):
    """A downloaded or stored file whose sha256 is not the declared one."""

    def __init__(self, asset: str, expected: str, got: str, path: Path) -> None:
        """Name both sums and the file."""
        super().__init__(
            f"asset '{asset}': sha256 of {path} is {got}, expected {expected}. "
            f"The file is damaged or not the pinned release: run `semprune assets get {asset} --force`."
        )


class AssetDiskFullError(SempruneError):
    """Not enough room for an asset."""

    def __init__(self, asset: str, needed_bytes: int, free_bytes: int, folder: Path) -> None:
        """Name what is needed, what is free and where."""
        super().__init__(
            f"asset '{asset}' needs {needed_bytes / 1e6:.0f} MB, {free_bytes / 1e6:.0f} MB are free in {folder}. "
            "Free some space, or set SEMPRUNE_CACHE to a folder on a larger disk."
        )


class AssetNetworkError(SempruneError):
    """The package index could not be reached or did not have the release."""

    def __init__(self, asset: str, requirement: str, detail: str) -> None:
        """Name the requirement and what pip said."""
        super().__init__(
            f"asset '{asset}': could not download {requirement}: {detail} "
            "Check the network or pip's index settings, then run the same command again."
        )


class AssetUnsafePathError(SempruneError):
    """An archive member that would be written outside the cache folder."""

    def __init__(self, asset: str, member: str) -> None:
        """Name the member."""
        super().__init__(f"asset '{asset}': refused to extract '{member}', which points outside the cache folder.")


class AssetMemberMissingError(SempruneError):
    """An archive without a declared inner path, or an extracted file that is gone."""

    def __init__(self, asset: str, member: str) -> None:
        """Name the member."""
        super().__init__(
            f"asset '{asset}' has no '{member}'. Run `semprune assets get {asset} --force` to fetch it again."
        )


class AssetTermsError(SempruneError):
    """An asset under terms of use without the user's explicit consent."""

    def __init__(self, asset: str, terms: str) -> None:
        """Show the terms and the flag."""
        super().__init__(
            f"asset '{asset}' comes under terms of use: {terms.rstrip('.')}. "
            f"If you accept them, run `semprune assets get {asset} --accept-terms`."
        )


class AssetLicenceError(SempruneError):
    """A non-commercial asset without the user's explicit consent."""

    def __init__(self, asset: str, licence: str) -> None:
        """Name the licence and the flag."""
        super().__init__(
            f"asset '{asset}' is licensed '{licence}', for non-commercial use only. "
            f"If that fits your use, run `semprune assets get {asset} --accept-non-commercial`."
        )
