"""Lexicons inside an offline package: read as data, offered only where the package has been fetched."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from semprune.assets import asset_folder, ensure_asset, find_asset

MINIMUM_WORDS: Final = 10
"""Fewest words of a concept of a lexicon. Ours: fewer are seldom found in a few hundred documents."""


def member_at_hand(asset: str, member: str) -> Path | None:
    """Path of a member of a fetched package; None where it was not fetched. Nothing is downloaded."""
    path = asset_folder(find_asset(asset)) / member
    return path if path.is_file() else None


def require_member(asset: str, member: str) -> Path:
    """Path of a member; the package is fetched unless its licence must be accepted first.

    Raises:
        AssetLicenceError: It is for non-commercial use and was not accepted.
        AssetNetworkError: It could not be fetched.
    """
    return ensure_asset(asset) / member


def concept_slug(name: str) -> str:
    """A lexicon's own name of a category as the second half of a concept's name.

    Example:
        >>> concept_slug("Econ@"), concept_slug("MAN'S DWELLING, HOME")
        ('econ_at', 'man_s_dwelling_home')
    """
    return re.sub(r"[^a-z]+", "_", name.lower().replace("@", "_at")).strip("_")


def usable_words(entries: Iterable[str]) -> tuple[str, ...]:
    """Lower-case words and phrases of letters, apostrophes and hyphens, each once, in their order.

    Example:
        >>> usable_words(["Moral  badness", "a.m.", "x", "moral badness", "well-known"])
        ('moral badness', 'well-known')
    """
    words = (" ".join(entry.lower().split()) for entry in entries)
    return tuple(dict.fromkeys(word for word in words if re.fullmatch(r"[a-z](?:[a-z' -]*[a-z])", word)))
