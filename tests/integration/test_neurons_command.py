"""``semprune neurons``: from words, a concept or a class to neurons, with the evidence counted first."""

from __future__ import annotations

import re
from pathlib import Path
from unittest import mock

import pandas as pd
import pytest
from tests.integration.small_study import run, write_package
from tests.integration.tiny import tiny_backbone

from semprune.attribution import load_association
from semprune.data import load_documents

OWN = "own.film_evening_submarine"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Packages and a model that reads 128 tokens."""
    made = tmp_path_factory.mktemp("neurons")
    write_package(made / "package")
    lm = tiny_backbone(length=128)
    lm.model.save_pretrained(made / "model")
    lm.tokenizer.save_pretrained(made / "model")
    return made


def look(folder: Path, capsys: pytest.CaptureFixture[str], *asked: str, fit: bool = True, code: int = 0) -> str:
    """Run the command; return what it printed, on one line."""
    fits = ["--backbone.name", str(folder / "model"), "--datasets", "movie_reviews", "--store", str(folder / "store"),
            "--limit", "60", "--output", str(folder / "out")]  # fmt: skip
    assert run(folder, ["neurons", *asked, *(fits if fit else [])]) == code
    said = capsys.readouterr()
    return " ".join((said.out + said.err).split())


def counts(said: str, name: str) -> tuple[int, int]:
    """What was found to fit on and held out."""
    found = re.search(rf"evidence for {name}: (\d+) \w+ to fit on.*?, (\d+) held out", said)
    assert found is not None
    return int(found[1]), int(found[2])


@pytest.mark.slow
def test_words_are_counted_then_fitted_then_shown_and_read_again(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said = look(folder, capsys, "--words", "Film, evening,submarine")
    with mock.patch("semprune.data.rows.sources.ensure_asset", return_value=folder / "package"):
        texts = [document.text for document in load_documents("movie_reviews", limit=60)]
    assert sum(counts(said, OWN)) == sum(len(re.findall(r"\b(film|evening)\b", text)) for text in texts)
    assert "submarine 0)" in said
    association = load_association(folder / "out" / "association.safetensors")
    assert OWN in association.concepts
    assert all(name in said for name in association.top(OWN, 3))
    again = look(folder, capsys, "--words", "evening,film,submarine", "--run", str(folder / "out"), fit=False)
    assert f"evidence for {OWN}: {counts(said, OWN)[0]} of " in again
    assert pd.read_parquet(folder / "out" / "concepts.parquet")["concept"].iloc[0] == OWN
    refused = look(folder, capsys, "--words", "other", "--run", str(folder / "out"), fit=False, code=2)
    assert "no concept of" in refused
    assert "Leave --run out" in refused


def test_words_that_occur_nowhere_are_refused_before_anything_is_fitted(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "no usable evidence in" in look(folder, capsys, "--words", "submarine", "--output", "no", code=2)
    assert "say whose neurons" in look(folder, capsys, code=2)
    assert "say whose neurons" in look(folder, capsys, "--words", "film", "--concept", "language.time", code=2)


@pytest.mark.slow
def test_the_neurons_of_a_class(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = look(folder, capsys, "--concept", "movie_reviews.negative")
    with mock.patch("semprune.data.rows.sources.ensure_asset", return_value=folder / "package"):
        labels = [document.label for document in load_documents("movie_reviews", limit=60)]
    assert sum(counts(said, r"movie_reviews\.negative")) == labels.count("negative")
