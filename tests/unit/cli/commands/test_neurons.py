"""``semprune neurons`` on a run: the concept is found by its words, its evidence stands before its neurons."""

from dataclasses import replace

import pandas as pd
import pytest
import torch
from tests.unit.attribution.worlds import association_of, tiny_lm

from semprune.cli.commands import neurons as module
from semprune.cli.commands.neurons import given_words, neurons
from semprune.concepts import load_concepts
from semprune.errors import ConfigurationError, UnknownConceptError

CONCEPT = "language.negation"


@pytest.fixture
def run(tmp_path, monkeypatch):
    """A run whose association has one discovery for negation, of 7 tokens in 900."""
    lm = tiny_lm()
    matrix = torch.zeros(sum(site.width for site in lm.sites), 2)
    matrix[3, 0] = 1.5
    found = association_of(lm, matrix, (CONCEPT, "language.time"))
    replace(found, settings={"backbone": "tiny", "concepts": [CONCEPT, "language.time"]}).save(
        tmp_path / "association.safetensors"
    )
    columns = {"concept": [CONCEPT], "level": ["token"], "n_positive": [7], "n": [900]}
    pd.DataFrame(columns).to_parquet(tmp_path / "concepts.parquet")
    monkeypatch.setattr("semprune.backbones.load_backbone", lambda name: lm)
    monkeypatch.setattr(module, "read_table", lambda folder, name: pd.read_parquet(folder / f"{name}.parquet"))
    return tmp_path


def test_a_concept_of_a_run(run, capsys):
    neurons(["--concept", CONCEPT, "--run", str(run)])
    said = capsys.readouterr().out
    assert said.startswith(f"evidence for {CONCEPT}: 7 of 900 tokens")
    assert f"{CONCEPT} is encoded by: 1 discoveries, 1 excited; the strongest" in " ".join(said.split())
    assert "layers.0.mlp/3" in said


def test_words_of_a_run_in_any_order_and_case(run, capsys):
    words = list(load_concepts([CONCEPT])[0].words)[::-1]
    neurons(["--words", ",".join(words).upper(), "--run", str(run)])
    assert "layers.0.mlp/3" in capsys.readouterr().out


def test_what_a_run_does_not_hold(run):
    with pytest.raises(
        ConfigurationError, match=r"no concept of .* has these words \(book, reserve\).*Leave --run out"
    ):
        neurons(["--words", "book,reserve", "--run", str(run)])
    with pytest.raises(UnknownConceptError, match=r"did you mean 'language\.negation'"):
        neurons(["--concept", "language.negatoin", "--run", str(run)])


def test_words_come_as_a_list_or_a_file(tmp_path):
    (tmp_path / "words.txt").write_text("Book\n\nmake  a reservation\nbook\n")
    assert given_words(str(tmp_path / "words.txt")) == given_words("Book,, make a  reservation,book")
    assert given_words("book") == ("book",)
