"""What is said of a study before it runs, and what does not stop it."""

from __future__ import annotations

import io
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest
import torch
import yaml
from tests.unit.study.cell.test_study_data import PETS, folder, lm  # noqa: F401  # fixtures

from semprune.errors import NoDiscoveryError, TooFewDiscoveriesError, UnknownMetricError
from semprune.io.terminal import Terminal
from semprune.study import association as first_step
from semprune.study.association import check_causally, describe_association
from semprune.study.config.checks import check
from semprune.study.config.schema import CausalConfig, FitConfig, StudyConfig, TextConfig
from semprune.study.preflight import discoveries_expected, preflight
from semprune.study.worker import Worker


@pytest.fixture
def console():
    return Terminal(file=io.StringIO(), width=100, color_system=None)


@pytest.fixture
def worker(folder, lm, console, monkeypatch):  # noqa: F811  # the fixtures above
    for home in ("semprune.concepts.registry", "semprune.attribution.fit.evidence"):
        monkeypatch.setattr(f"{home}.DEFAULT_CONCEPTS", ("empath.family", "empath.crime"))
    concepts = ["default", "empath.crime", str(folder / "concepts/own.pet.yaml")]
    fit = FitConfig(["pets"], max_length=16, concepts=concepts)
    config = StudyConfig(
        output=str(folder / "run"), store=str(folder / "store"), datasets=["pets"], calibrations=["prose"], fit=fit,
        text=TextConfig("prose", 2, 8), causal=CausalConfig(family="topic", dataset="pets", share=0.05),
    )  # fmt: skip
    return Worker(config, lm, console, reads_only=True)


def row(console: Terminal, name: str) -> list[str]:
    cells = (line.strip("│ ").split("│") for line in console.file.getvalue().splitlines())
    return next([cell.strip() for cell in own] for own in cells if own[0].strip() == name)


def test_evidence_is_counted_by_concept_and_class(worker, console):
    preflight(worker, console)
    data = worker.data.documents
    texts = [len(data.train_documents), len(data.val_documents)]
    assert row(console, "own.pet")[1:3] == [str(count) for count in texts]  # "pet" once in each text
    assert row(console, "empath.family")[3] == "left out: no evidence"
    assert row(console, "empath.crime")[3].startswith("no evidence: the fit will stop")
    dogs = sum(document.label == "dog" for document in data.train_documents)
    assert row(console, "pets.dog")[1] == str(dogs)
    items = len(worker.data.datasets["pets"])
    assert f"pets: {items} items, accuracy" in console.file.getvalue()


def test_too_few_documents_for_the_causal_check_are_said(worker, monkeypatch):
    said = discoveries_expected(worker)
    assert said.startswith("causal check: needs 4 discoveries for topic")  # a twentieth of 2 layers of 48
    assert said.endswith("of fewer than 20 documents of each class (pets.cat, pets.dog): it is then left out")
    monkeypatch.setattr("semprune.study.preflight.FEW_DOCUMENTS", 2)
    assert discoveries_expected(worker).endswith("which are counted after the fit")


def test_a_metric_that_nobody_knows_stops_the_study_before_it_starts(folder: Path, monkeypatch):  # noqa: F811
    spec = {**PETS, "name": "toys", "metrics": ["acuracy"],
            "hub": {"path": "json", "data_files": str(folder / "pets.jsonl"), "split": "train"}}  # fmt: skip
    (folder / "toys.yaml").write_text(yaml.safe_dump(spec))
    config = StudyConfig(datasets=["toys"], calibrations=["prose"], fit=FitConfig(["pets"]), causal=None)
    with pytest.raises(UnknownMetricError, match="did you mean 'accuracy'"):
        check(config)


def test_too_few_discoveries_leave_the_causal_check_out_and_the_study_goes_on(tmp_path, monkeypatch, console):
    def too_few(*_: object, **__: object) -> pd.DataFrame:
        raise TooFewDiscoveriesError(3, 40, ["films.bad"])

    monkeypatch.setattr(first_step, "causal_check", too_few)
    monkeypatch.setattr(first_step, "load_items", lambda *_, **__: [])
    monkeypatch.setattr(first_step, "family_classes", lambda *_: ["films.bad"])
    text = SimpleNamespace(setup=lambda: None, token_hash="", input_ids=torch.zeros(1, 2), first_predicted=1)
    without_gates = SimpleNamespace(gated_concepts=())
    assert check_causally(StudyConfig(), None, without_gates, text, tmp_path, console) is None
    said = " ".join(console.file.getvalue().split())
    assert said.startswith("causal check left out: only 3 neurons are discoveries for films.bad, 40 were asked for")
    assert list(tmp_path.iterdir()) == []


def test_gates_that_a_fit_learned_are_a_row_of_the_causal_check(tmp_path, monkeypatch, console):
    asked = {}
    monkeypatch.setattr(first_step, "causal_check", lambda *_, **given: asked.update(given) or pd.DataFrame({"k": [1]}))
    monkeypatch.setattr(first_step, "load_items", lambda *_, **__: [])
    monkeypatch.setattr(first_step, "family_classes", lambda *_: ["films.bad", "films.good"])
    monkeypatch.setattr(first_step, "combined_strength", lambda _, concepts, by: (concepts, by))
    text = SimpleNamespace(setup=lambda: None, token_hash="", input_ids=torch.zeros(1, 2), first_predicted=1)
    gated = SimpleNamespace(gated_concepts=("films.good",))
    assert check_causally(StudyConfig(), None, gated, text, tmp_path, console).is_file()
    assert asked["rankings"] == {"gates": (["films.bad", "films.good"], "gates")}


def test_a_fit_without_a_discovery_ends_the_study_before_anything_is_measured(tmp_path):
    association = SimpleNamespace(concepts=("films.bad", "films.good"))
    module = SimpleNamespace(association=lambda: association, fitted=SimpleNamespace(hashes=[1, 2, 3]))
    with pytest.raises(NoDiscoveryError, match=r"any of the 2 concepts: 3 fitted documents .* Raise the fit's `limit`"):
        describe_association(module, pd.DataFrame(), tmp_path)
    assert not list(tmp_path.iterdir())
