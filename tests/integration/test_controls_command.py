"""``semprune controls`` and ``semprune influential``: what can be asked about concepts before and after a fit."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest
import yaml
from tests.integration.small_study import run, write_study

from semprune.concepts import load_concepts
from semprune.report.tables.gate_controls import CONTROLS

WORDS = {"own.praise": "good happy wonderful love great best", "own.blame": "terrible sad awful hate horrible worst"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("controls")
    write_study(folder, folder / "study")
    model = folder / "model/config.json"
    model.write_text(json.dumps(json.loads(model.read_text()) | {"max_position_embeddings": 128}))  # for all wordings
    (folder / "concepts").mkdir()
    for name, words in WORDS.items():
        content = {"name": name, "about": "x", "source": "x", "licence": "x", "words": words.split()}
        (folder / f"concepts/{name}.yaml").write_text(yaml.safe_dump(content))
    return folder


def write(folder: Path, name: str, **changes: object) -> str:
    settings = {
        "output": str(folder / name), "backbone": {"name": str(folder / "model")},
        "fit": {"datasets": ["movie_reviews"], "limit": None, "max_length": 32, "batch_size": 16,
                "concepts": [f"{folder}/concepts/"]},
        "seeds": [0, 1], "permutations": 20, "neurons": 3,
        "gates": {"concept": "movie_reviews.positive", "wrong": "bbc_news.sports", "prompts": ["review"], "limit": 16,
                  "datasets": ["movie_reviews"], "steps": 1, "texts": 2, "text": {"sequences": 2, "length": 16}},
    }  # fmt: skip
    path = folder / f"{name}.yaml"
    path.write_text(yaml.safe_dump(settings | changes))
    return str(path)


def test_every_control_writes_and_shows_its_table(folder, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "140")
    assert run(folder, ["controls", "--config", write(folder, "all")]) == 0, capsys.readouterr().err
    out = capsys.readouterr().out
    read = {path.stem: pd.read_parquet(path) for path in (folder / "all").iterdir()}
    assert set(read) == {
        "permutations", "control_task", "random_weights", "word_lists", "gate_controls", "gate_overlap",
    }  # fmt: skip
    concepts = {*WORDS, "movie_reviews.positive", "movie_reviews.negative"}
    assert set(read["permutations"]["concept"]) == concepts
    assert read["permutations"]["p"].between(1 / 21, 1).all()
    for name in ("control_task", "word_lists"):
        assert set(read[name]["concept"]) == set(WORDS)
        assert read[name].groupby("seed").size().to_dict() == {0: 2, 1: 2}
    assert read["word_lists"]["overlap"].between(0, 1).all()
    assert read["random_weights"]["weights"].tolist() == ["trained", "random"] * 2
    assert set(read["gate_controls"]["control"]) == set(CONTROLS)
    assert set(read["gate_controls"]["answers"]) == {"fitted", "other"}
    assert len(read["gate_overlap"]) == 1
    titles = ("permutations", "control task", "random weights", "word lists", "refused", "gates share")
    for title in titles:
        assert title in out


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"controls": ["shuffle"]}, "controls must be some of permutations, control_task"),
        ({"seeds": []}, "seeds must be one seed or more"),
        ({"gates": {"concept": "movie_reviews.good"}}, "gates.concept must be a class of a data set: negative"),
        ({"gates": {"wrong": "amazon_reviews.negative"}}, "gates.wrong must be a class of another data set"),
        ({"gates": {"datasets": ["bbc_news"]}}, "gates.datasets must be a class of a data set"),
        ({"gates": {"prompts": ["nice"]}}, "nice"),
        ({"gates": {"seeds": [1, 1]}}, "gates.seeds must be two different seeds or more"),
        ({"fit": {"datasets": ["movies"]}}, "movies"),
        ({"fit": {"datasets": ["movie_reviews"], "concepts": ["nowhere/"]}}, "the folder holds no *.yaml"),
    ],
)
def test_what_cannot_be_run_is_refused_in_one_line(folder, capsys, changes, said):
    assert run(folder, ["controls", "--config", write(folder, "bad", **changes)]) == 2
    assert said in capsys.readouterr().err


def test_influential_words_become_concepts_that_a_fit_takes(folder, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "140")
    settings = {"output": str(folder / "found"), "backbone": {"name": str(folder / "model")}, "clusters": 1,
                "minimum_documents": 3, "prior_strength": 60.0, "dataset": "movie_reviews"}  # fmt: skip
    path = folder / "influential.yaml"
    path.write_text(yaml.safe_dump(settings))
    assert run(folder, ["influential", "--config", str(path)]) == 0, capsys.readouterr().err
    out = capsys.readouterr().out
    concepts = load_concepts([f"{folder}/found/"])
    assert concepts
    for concept in concepts:
        label = "positive" if concept.name.startswith("influential.positive") else "negative"
        assert label in concept.name
        assert concept.name in out
        other = "terrible awful horrible worst" if label == "positive" else "happy wonderful great best"
        assert not set(concept.words) & set(other.split())
    settings["output"], settings["name_by_model"] = str(folder / "named"), True
    path.write_text(yaml.safe_dump(settings))
    assert run(folder, ["influential", "--config", str(path)]) == 0
    named = load_concepts([f"{folder}/named/"])
    assert sorted(concept.words for concept in named) == sorted(concept.words for concept in concepts)
    settings["labels"] = ["neutral"]
    path.write_text(yaml.safe_dump(settings))
    assert run(folder, ["influential", "--config", str(path)]) == 2
    assert "classes of movie_reviews: negative, positive" in capsys.readouterr().err
