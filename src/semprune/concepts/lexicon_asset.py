"""Lexicons inside an offline package: read as data, offered only where the package has been fetched."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Final

from semprune.assets import asset_folder, ensure_asset, find_asset
from semprune.assets.cache import is_whole
from semprune.concepts.concept import Vocabulary

MINIMUM_WORDS: Final = 10
"""Fewest words of a concept of a lexicon. Ours: fewer are seldom found in a few hundred documents."""


class LexiconVocabulary(Vocabulary):
    """A vocabulary whose words are a member of an offline package.

    Attributes:
        asset: Name of the package.
        member: Path of the member.
        parse: Words of each category from the member's file.
    """

    asset: str
    member: str
    parse: Callable[[Path], Mapping[str, tuple[str, ...]]]

    def words(self) -> Mapping[str, tuple[str, ...]]:
        """Words of each category; none where the package was not fetched. Nothing is downloaded.

        Raises:
            AssetChecksumError, AssetMemberMissingError: The package is not what was extracted.
        """
        asset = find_asset(self.asset)
        folder = asset_folder(asset)
        path = folder / self.member
        return self.parse(path) if path.is_file() and is_whole(asset, folder) else {}

    def require(self) -> None:
        """Fetch the package, unless its licence must be accepted first.

        Raises:
            AssetLicenceError: It is for non-commercial use and was not accepted.
            AssetNetworkError: It could not be fetched.
        """
        ensure_asset(self.asset)


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
