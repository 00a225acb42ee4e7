"""Which model a backbone is, for the card of what is made from it."""

from __future__ import annotations

import re
from contextlib import suppress
from pathlib import Path

from semprune.artefacts.card import CARD, Origin, origin_of_folder, short_name
from semprune.assets import Asset, find_asset
from semprune.backbones.loading.embedded import embedded_backbones
from semprune.backbones.loading.source import BackboneSource, fetch
from semprune.errors import SempruneError


def origin_of(source: BackboneSource) -> Origin:
    """Return what a card may say of a backbone: names, licence and language, as far as they are known here.

    A model of the hub states them in its own card, which is fetched; where that cannot be had they stay unknown.
    """
    if source.name in embedded_backbones() or Path(source.name).expanduser().is_dir():
        return origin_named(source.name)
    with suppress(SempruneError):
        fetch(source.name, source.revision, [CARD], ())
    return origin_of_folder(source.folder, hub=source.name)


def origin_named(name: str) -> Origin:
    """Return what a card may say of a backbone that is known by its name alone; nothing is fetched."""
    embedded, folder = embedded_backbones().get(name), Path(name).expanduser()
    if embedded is not None:
        return Origin(short_name(embedded.hub), embedded.hub, _licence(find_asset(embedded.asset)))
    if folder.is_dir():
        return origin_of_folder(folder)
    return Origin(short_name(name), name if re.fullmatch(r"[\w.-]+/[\w.-]+", name) else None)


def _licence(asset: Asset) -> dict[str, str]:
    """The hub's names are SPDX's in small letters; what comes under terms of its own is ``other`` there."""
    if asset.terms:
        return {"license": "other", "license_name": asset.licence}
    return {"license": asset.licence.lower()}
